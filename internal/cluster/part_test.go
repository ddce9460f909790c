package cluster

import (
	"bytes"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"shoal/fleet"
	"shoal/internal/connect"
	"shoal/simfleet"
)

// Output that is written into the log as it comes is every byte of it, in order, and what is beyond the
// limit is counted: the oracle sees no difference.
func TestStreamed(t *testing.T) {
	faults := []simfleet.Fault{simfleet.FaultReset, simfleet.FaultDropMidOutput, simfleet.FaultExitSignal}
	s := newSite(t, simfleet.Options{Hosts: 60, Fault: func(i int) simfleet.Fault {
		if i%10 == 7 {
			return faults[i/10%len(faults)]
		}
		return simfleet.FaultNone
	}})
	s.worker("one", nil)
	s.worker("two", nil)
	results, _ := s.run(t.Context(), "echo {index} {host}; exit {index|sh}", func(o *CoordinatorOptions, _ *connect.Options) {
		o.Options.Stream, o.ShardSize = 6, 10 // less than most lines
	})
	cut := 0
	for _, r := range results {
		if r.Flags.Has(fleet.FlagOutputTruncated) {
			cut++
		}
		if r.Outcome.Ran() && (len(r.Stdout.Bytes) > 7 || r.Stdout.Size < 10) {
			t.Errorf("target %d: %d of %d bytes", r.Target.Index, len(r.Stdout.Bytes), r.Stdout.Size)
		}
	}
	if s.check(results); cut == 0 {
		t.Error("nothing was cut")
	}
}

// Output is believed of hosts that the epoch has begun and that have no result.
func TestFoldParts(t *testing.T) {
	p := newPacker()
	defer p.close()
	begun := func() *actor {
		s, a := new(server), &actor{name: "w"}
		a.append(s, p, Record{Kind: KindOpen, Body: testShard(3, false)})
		a.append(s, p, Record{Kind: KindTake, Worker: "w"})
		return a
	}
	apply := func(a *actor, work ...*Work) (last *Work, err error) {
		for _, w := range work {
			r := Record{Kind: KindWork, Worker: "w", Nonce: newNonce(), Prev: a.fold.Digest, Epoch: a.fold.Epoch, Body: p.encode(w)[0]}
			if last, err = a.fold.Apply(a.fold.Seq+1, r.Encode(), p); err != nil {
				return nil, err
			}
		}
		return last, nil
	}
	out := Part{0, fleet.Stdout, []byte("a")}
	ok := Result{0, &fleet.Result{End: fleet.End{Outcome: fleet.OutcomeOK, Flags: fleet.FlagExitKnown}}}
	w, err := apply(begun(), &Work{Intents: []int{0}, Parts: []Part{out, {0, fleet.Stderr, []byte("bc")}, out}, Results: []Result{ok}})
	if err != nil || len(w.Parts) != 3 || string(w.Parts[1].Bytes) != "bc" || w.Parts[1].Stream != fleet.Stderr || string(w.Parts[2].Bytes) != "a" {
		t.Errorf("read back: %+v, %v", w, err)
	}
	for want, work := range map[string][]*Work{
		"output of host 1 without an intent": {{Intents: []int{0}, Parts: []Part{{1, fleet.Stdout, []byte("a")}}}},
		"output of host 3 of 3":              {{Intents: []int{0}, Parts: []Part{{3, fleet.Stdout, []byte("a")}}}},
		"output of host 0 after its result":  {{Intents: []int{0}, Results: []Result{ok}}, {Parts: []Part{out}}},
		"output of stream 7":                 {{Intents: []int{0}, Parts: []Part{{0, 7, []byte("a")}}}},
	} {
		if _, err := apply(begun(), work...); !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, and the error is %v", want, err)
		}
	}
}

// A host that writes a byte at a time takes no more memory than another, and its output is read back.
func TestPartsOfOneByte(t *testing.T) {
	p := newPacker()
	defer p.close()
	s := newWorkerShard(&Log{Fold: Fold{Shard: &Shard{}, hosts: make([]hostState, 1)}}, []int{0}, new(atomic.Int32))
	const parts = maxQueue/(1+partCost) - 1
	for range parts {
		s.part(Part{0, fleet.Stdout, []byte("a")})
	}
	taken := 0
	for taken < parts {
		_, w, _ := s.take()
		if n := len(w.Parts); n == 0 || n*partCost > maxBatch+partCost {
			t.Fatalf("%d parts at once", n)
		}
		read, err := p.decode(bytes.Join(p.encode(w), nil))
		if err != nil || len(read.Parts) != len(w.Parts) {
			t.Fatalf("read back: %v", err)
		}
		taken += len(w.Parts)
	}
	if s.part(Part{0, fleet.Stdout, make([]byte, maxQueue-2*partCost)}); s.bytes > maxQueue {
		t.Errorf("%d bytes are queued", s.bytes)
	}
	bomb := p.encoder.EncodeAll([]byte(`{"intents":[`+strings.Repeat("0,", 16<<20)+"0]}\n"), nil)
	if w, err := p.decode(bomb); err == nil {
		t.Errorf("%d intents were read of %d bytes", len(w.Intents), len(bomb))
	}
}

// A part of which nobody takes anything waits, so that its host does, and is dropped once the log is lost.
func TestPartsWait(t *testing.T) {
	s := newWorkerShard(&Log{Fold: Fold{Shard: &Shard{}, hosts: make([]hostState, 1)}}, []int{0}, new(atomic.Int32))
	s.part(Part{0, fleet.Stdout, make([]byte, maxQueue)})
	over := make(chan bool)
	go func() { over <- s.part(Part{0, fleet.Stdout, []byte("more")}) }()
	batch, w, _ := s.take()
	if len(w.Parts) != 1 || len(w.Parts[0].Bytes) != maxQueue {
		t.Fatalf("%d parts", len(w.Parts))
	}
	if !<-over {
		t.Error("refused")
	}
	s.part(Part{0, fleet.Stdout, make([]byte, maxQueue-len("more")-2*partCost)})
	go func() { over <- s.part(Part{0, fleet.Stdout, []byte("more")}) }()
	s.committed(batch, errFenced)
	if <-over {
		t.Error("taken though nothing is written any more")
	}
}

// Once a host has its result nothing of its output follows, which the fold would take for damage: a client may still be passing
// on what a command wrote that was given up.
func TestNoPartAfterResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWorkerShard(&Log{Fold: Fold{Shard: &Shard{}, hosts: make([]hostState, 2)}}, []int{0, 1}, new(atomic.Int32))
		if !s.part(Part{0, fleet.Stdout, make([]byte, maxQueue)}) {
			t.Fatal("refused")
		}
		waits := make(chan bool, 1)
		go func() { waits <- s.part(Part{0, fleet.Stdout, []byte("late")}) }()
		synctest.Wait()
		s.result(0, fleet.Result{End: fleet.End{Outcome: fleet.OutcomeUnknown}}, false)
		for range 2 {
			s.take()
		}
		if <-waits || s.part(Part{0, fleet.Stderr, []byte("later")}) || !s.part(Part{1, fleet.Stdout, []byte("of another")}) {
			t.Error("output is taken of a host that has its result, or not of another")
		}
		if _, w, _ := s.take(); len(w.Parts) != 1 || w.Parts[0].Host != 1 {
			t.Errorf("%d parts follow", len(w.Parts))
		}
	})
}
