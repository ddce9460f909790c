package main

import "time"

// A job is what a child process is asked for, as JSON on its standard input.
type job struct {
	Task   string `json:"task"`   // one of tasks
	Client string `json:"client"` // one of clients; for taskCrypto nothing
	Kex    string `json:"kex"`    // kexClassical or kexHybrid

	Hosts      []string `json:"hosts"` // host:port; taken in turn
	User       string   `json:"user"`
	Key        string   `json:"key"`         // path of the private key
	KnownHosts string   `json:"known_hosts"` // path
	State      string   `json:"state"`       // an empty directory; "" remembers nothing

	Command     string `json:"command"`
	Connections int    `json:"connections"` // those that count
	AtOnce      int    `json:"at_once"`
	Bytes       int64  `json:"bytes"` // of output that each command must give
	Cold        bool   `json:"cold"`  // taskConnect: nothing warms up
	// CPUProfile and MemProfile are files to write; "" means none.
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

// The key exchanges. OpenSSH has the hybrid one from 9.9 on.
const (
	kexClassical = "curve25519-sha256"
	kexHybrid    = "mlkem768x25519-sha256"
)

// taken is what a child answers, as JSON on its standard output.
type taken struct {
	Wall   time.Duration `json:"wall_ns"`
	User   time.Duration `json:"user_ns"`   // user CPU of the part that counts
	System time.Duration `json:"system_ns"` // system CPU of the same

	Before memory `json:"before"` // taskHold: before the connections
	Open   memory `json:"open"`   // with all of them open
	Swept  memory `json:"swept"`  // after a collection that gave free pages back

	First      int `json:"first"`      // taskFlights: round trips to a host not seen before
	Remembered int `json:"remembered"` // and to the same again
}

func (t taken) cpu() time.Duration { return t.User + t.System }

// memory is what a process holds; bytes.
type memory struct {
	Resident   int64 `json:"resident"`
	Heap       int64 `json:"heap"`   // live and not yet swept objects
	Stacks     int64 `json:"stacks"` // of goroutines
	Goroutines int   `json:"goroutines"`
}
