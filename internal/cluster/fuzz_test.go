package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"shoal/fleet"
)

// Any message of a worker, on any subject, leaves the coordinator as it was or tells it something that it may
// believe; it never ends it.
func FuzzWorkerMessages(f *testing.F) {
	p := newPacker()
	f.Cleanup(p.close)
	result := fleet.Result{End: fleet.End{Outcome: fleet.OutcomeOK}}
	f.Add("beat.p.w", encode(Beat{Pool: "p", Worker: "w", Room: 5, Started: time.Unix(1, 0)}))
	f.Add("beat.p.w", encode(Beat{Pool: "p", Worker: "x", Gone: true}))
	f.Add("ask.p.r.w", encode(question{Shard: 0, Seq: 1, Digest: "d"}))
	f.Add("ask.p.r.w", encode(question{Shard: -1}))
	f.Add("ask.p.r.w", encode(question{Shard: 0, GaveUp: 1 << 60, Leaves: true}))
	f.Add("ask.p.r.w", encode(question{Shard: 0, Refused: "no"}))
	f.Add("free.p.w", []byte(nil))
	f.Add("late.p.r.0.w", (&Record{Kind: KindLate, Epoch: 1, Worker: "w", Body: p.encode(&Work{Results: []Result{{0, &result}}})[0]}).Encode())
	f.Add("late.p.r.0.w", (&Record{Kind: KindLate, Epoch: 1, Worker: "w", Body: p.encode(&Work{Done: true})[0]}).Encode())
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		var fold Fold
		for i, message := range logOf(p) {
			if _, err := fold.Apply(uint64(i+1), message, p); err != nil {
				t.Fatal(err)
			}
		}
		c := &Coordinator{
			CoordinatorOptions: CoordinatorOptions{Lease: time.Second, Notice: func(string) {}}, state: stateRun, run: "r", workers: make(map[workerAt]seen), names: make(map[nameAt]named),
			shards: []*shard{{fold: fold, pool: "p", refused: make(map[string]string)}},
		}
		c.ctx = context.Background()
		m := &nats.Msg{Subject: subject, Data: data}
		c.onBeat(m)
		c.onQuestion(m)
		c.onFree(m)
		s := c.shards[0]
		if kind, _, _, _, writer, ok := parseSubject(subject); ok && kind == "late" {
			results, err := s.fold.Late(writer, data, p)
			for _, r := range results {
				if err != nil || writer != "w" || r.Host != 0 || r.Result == nil {
					t.Errorf("%s tells of host %d: %v", writer, r.Host, err)
				}
			}
		}
		if s.fold.Epoch != 1 || s.fold.Worker != "w" || len(s.gaveUp) > 1 || len(c.workers) > 1 {
			t.Errorf("the shard is of %q in epoch %d, given up in %v, %d workers", s.fold.Worker, s.fold.Epoch, s.gaveUp, len(c.workers))
		}
	})
}

// logOf is the log of a shard of two hosts that w has, with an intent for the first.
func logOf(p *packer) (messages [][]byte) {
	prev := ""
	for _, r := range []Record{
		{Kind: KindOpen, Body: testShard(2, false)},
		{Kind: KindTake, Epoch: 1, Worker: "w"},
		{Kind: KindWork, Epoch: 1, Worker: "w", Body: p.encode(&Work{Intents: []int{0}})[0]},
	} {
		r.Nonce, r.Prev = "n", prev
		message := r.Encode()
		prev = digest(message)
		messages = append(messages, message)
	}
	return messages
}

// A shard that is read is within the limits, and is read again as the same.
func FuzzShard(f *testing.F) {
	signed, _, err := splitSigned(testShard(2, true))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add([]byte(`{"format":2,"run":"r","pool":"p","hosts":[{"host":{"name":"h"},"user":"u","port":22,"command":"dA==","input":{"bytes":"eA==","size":1},"pty":{"term":"xterm"},"limit":-1}]}`))
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := DecodeShard(text)
		if err != nil {
			return
		}
		if !validName(s.Run) || !validName(s.Pool) || len(s.Hosts) == 0 || len(s.Hosts) > maxHosts {
			t.Errorf("%+v is a shard", s)
		}
		again, err := DecodeShard(encode(s))
		if err != nil || string(encode(again)) != string(encode(s)) {
			t.Errorf("read again: %v", err)
		}
		for i := range s.Hosts {
			if target := s.Hosts[i].target(i); target.User == "" || target.Port == 0 || target.Command == "" {
				t.Errorf("host %d is %+v", i, target)
			}
		}
	})
}
