package main

import "time"

// A job is a child process's task, as JSON on its standard input.
type job struct {
	Task   string `json:"task"`   // one of tasks
	Client string `json:"client"` // one of the clients; unused for taskCrypto
	Kex    string `json:"kex"`    // kexClassical or kexHybrid

	Hosts      []string `json:"hosts"` // host:port; used in turn
	User       string   `json:"user"`
	Key        string   `json:"key"`         // path of the private key
	KnownHosts string   `json:"known_hosts"` // path
	State      string   `json:"state"`       // an empty directory; "" disables the host cache

	Command     string `json:"command"`
	Connections int    `json:"connections"` // those that are counted
	AtOnce      int    `json:"at_once"`
	Bytes       int64  `json:"bytes"` // output expected from each command
	Cold        bool   `json:"cold"`  // taskConnect: no warm-up
	// CPUProfile and MemProfile are files to write; "" disables them.
	CPUProfile string `json:"cpu_profile"`
	MemProfile string `json:"mem_profile"`
}

// The tasks.
const (
	taskConnect = "connect" // whole connections, one after the other
	taskHold    = "hold"    // connections that wait for their command, all at once
	taskFlights = "flights" // round trips of a first and a second connection
	taskCrypto  = "crypto"  // the cryptography of a connection, without one
)

// The key exchanges. OpenSSH has the hybrid one since 9.9.
const (
	kexClassical = "curve25519-sha256"
	kexHybrid    = "mlkem768x25519-sha256"
)

// taken is a child's result, as JSON on its standard output.
type taken struct {
	Wall   time.Duration `json:"wall_ns"`
	User   time.Duration `json:"user_ns"`   // user CPU time of the counted part
	System time.Duration `json:"system_ns"` // system CPU time of the counted part

	Before memory `json:"before"` // taskHold: before the connections
	Open   memory `json:"open"`   // with all connections open
	Swept  memory `json:"swept"`  // after a collection that returned free pages

	First      int `json:"first"`      // taskFlights: round trips to an unknown host
	Remembered int `json:"remembered"` // round trips to the same host again
}

func (t taken) cpu() time.Duration { return t.User + t.System }

// memory is the memory of a process, in bytes.
type memory struct {
	Resident   int64 `json:"resident"`
	Heap       int64 `json:"heap"`   // live objects and those not yet swept
	Stacks     int64 `json:"stacks"` // of goroutines
	Goroutines int   `json:"goroutines"`
}
