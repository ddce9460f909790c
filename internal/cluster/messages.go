package cluster

import (
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"
)

// A Beat is a worker's sign of life.
type Beat struct {
	Pool    string    `json:"pool"`
	Worker  string    `json:"worker"`
	Machine string    `json:"machine"` // its host name
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	// Process is random, and another one after each start: a worker that was started anew under its name tells nothing
	// of what it had begun before.
	Process string `json:"process,omitempty"`
	Room    int    `json:"room"`   // hosts at once
	Busy    int    `json:"busy"`   // hosts that it has and that have not ended
	Shards  int    `json:"shards"` // that it has and that are not done
	Gone    bool   `json:"gone"`   // it takes and starts nothing any more, and what it had has ended
}

// A question is what a worker asks the coordinator before it takes a shard: only a living
// coordinator, which has seen nothing newer of the log, lets a shard begin.
type question struct {
	Shard  int    `json:"shard"`
	Seq    uint64 `json:"seq"`
	Digest string `json:"digest"`
	// Epoch is that of the log, as far as the worker has read it.
	Epoch int `json:"epoch,omitempty"`
	// Process is the worker's: see Beat.
	Process string `json:"process,omitempty"`
	// Refused is why the worker will not run the shard; "" means that it would.
	Refused string `json:"refused,omitempty"`
	// GaveUp is the epoch of the shard that the worker had, and cannot write for any more; 0 means none.
	GaveUp int `json:"gave_up,omitempty"`
	// Leaves means that it did so because it stops, and not for a fault of the shard.
	Leaves bool `json:"leaves,omitempty"`
}

type answer struct {
	Go bool `json:"go"`
	// Twin means that another process that lives has the worker's name.
	Twin bool `json:"twin,omitempty"`
}

// A freeWorker asks for a shard that waits.
type freeWorker struct {
	Process string `json:"process,omitempty"` // see Beat
}

// A hint names a shard that waits for a worker.
type hintOf struct {
	Run   string `json:"run"`
	Shard int    `json:"shard"`
}

// The states of a run, as the coordinator tells its workers.
const (
	stateRun   = "run"
	stateDrain = "drain" // nothing more is started
	stateAbort = "abort" // what runs is abandoned
)

// decode reads a message of a peer.
func decode[T any](data []byte) (v T, ok bool) {
	return v, len(data) <= maxRecord && json.Unmarshal(data, &v) == nil
}

func encode(v any) []byte {
	data, _ := json.Marshal(v) // our own structs of strings, numbers and times
	return data
}

// reply answers a request; that the asker is gone is its own affair.
func reply(m *nats.Msg, v any) { _ = m.Respond(encode(v)) }
