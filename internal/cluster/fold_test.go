package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"shoal/fleet"
)

func testShard(hosts int, idempotent bool) []byte {
	s := Shard{Format: ShardFormat, Run: "r", Pool: "p", Options: Options{Idempotent: idempotent}}
	for i := range hosts {
		s.Hosts = append(s.Hosts, Host{Host: fleet.Host{Name: fmt.Sprint("h", i)}, Index: i, User: "u", Port: 22, Command: []byte("true")})
	}
	return joinSigned(encode(s), []byte("-----END SSH SIGNATURE-----\n"))
}

// A server is a subject of JetStream: an append names the last sequence, or is refused.
type server struct{ messages [][]byte }

func (s *server) append(last uint64, message []byte) bool {
	if last != uint64(len(s.messages)) {
		return false
	}
	s.messages = append(s.messages, message)
	return true
}

// An actor is a process with its own, perhaps old, view of the log.
type actor struct {
	name string
	fold Fold
	own  int         // its epoch; 0: it never had the shard
	may  []int       // hosts whose intents it has committed, and whose commands it has not sent
	old  []int       // the same of earlier epochs
	runs map[int]int // hosts that it has run in its epoch: whether it has told the result
}

func (a *actor) read(t *rapid.T, s *server, p *packer) {
	for a.fold.Seq < uint64(len(s.messages)) {
		if _, err := a.fold.Apply(a.fold.Seq+1, s.messages[a.fold.Seq], p); err != nil {
			t.Fatalf("%s refuses record %d of those who kept the rules: %v", a.name, a.fold.Seq+1, err)
		}
	}
}

// append appends as [Log.Append] does, with the view that the actor has.
func (a *actor) append(s *server, p *packer, r Record) bool {
	r.Nonce, r.Prev, r.Epoch = newNonce(), a.fold.Digest, a.fold.Epoch
	if r.Kind == KindTake || r.Kind == KindClose {
		r.Epoch++
	}
	message := r.Encode()
	if !s.append(a.fold.Seq, message) {
		return false
	}
	if _, err := a.fold.Apply(uint64(len(s.messages)), message, p); err != nil {
		panic(err)
	}
	return true
}

// Workers that keep the rules take a shard from each other at any time, with any view of the log, stop
// between any two steps and go on later: no host runs twice, what the log says to be over is so,
// and what it calls unknown may have run.
func TestFoldNothingTwice(t *testing.T) {
	p := newPacker()
	defer p.close()
	rapid.Check(t, func(t *rapid.T) {
		hosts := rapid.IntRange(1, 5).Draw(t, "hosts")
		s := new(server)
		coordinator := &actor{name: "coordinator"}
		if !coordinator.append(s, p, Record{Kind: KindOpen, Body: testShard(hosts, false)}) {
			t.Fatal("not opened")
		}
		workers := []*actor{{name: "a"}, {name: "b"}, {name: "c"}}
		for _, w := range workers {
			w.runs = make(map[int]int)
			w.read(t, s, p)
		}
		ran := make([]int, hosts)  // the oracle: what the hosts saw
		told := make(map[int]bool) // results in the log
		const notTold, isTold = 0, 1
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			w := workers[rapid.IntRange(0, len(workers)-1).Draw(t, "worker")]
			mine := w.own > 0 && w.fold.Epoch == w.own && !w.fold.Done
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				w.read(t, s, p)
			case 1:
				if !w.fold.Done && w.append(s, p, Record{Kind: KindTake, Worker: w.name}) {
					w.old, w.may = append(w.old, w.may...), nil // these may leave yet
					w.own, w.runs = w.fold.Epoch, make(map[int]int)
				}
			case 2: // intents for some of those that are left
				if left := w.fold.Remaining(); mine && len(left) > 0 {
					some := left[:rapid.IntRange(1, len(left)).Draw(t, "intents")]
					some = slices.DeleteFunc(slices.Clone(some), func(i int) bool { _, had := w.runs[i]; return had || slices.Contains(w.may, i) })
					if w.append(s, p, Record{Kind: KindWork, Worker: w.name, Body: p.encode(&Work{Intents: some})[0]}) {
						w.may = append(w.may, some...)
					}
				}
			case 3: // the bytes leave, whatever has happened meanwhile
				for _, i := range w.may {
					ran[i]++
					w.runs[i] = notTold
				}
				for _, i := range w.old {
					ran[i]++
				}
				w.may, w.old = nil, nil
			case 4:
				var work Work
				for i, state := range w.runs {
					if state == notTold && mine {
						work.Results = append(work.Results, Result{i, &fleet.Result{End: fleet.Exited(fleet.PhaseRun, 0, "", true)}})
					}
				}
				if mine && len(work.Results) > 0 && w.append(s, p, Record{Kind: KindWork, Worker: w.name, Body: p.encode(&work)[0]}) {
					for _, r := range work.Results {
						w.runs[r.Host], told[r.Host] = isTold, true
					}
				}
			case 5:
				coordinator.read(t, s, p)
				if rapid.IntRange(0, 9).Draw(t, "close") == 0 && !coordinator.fold.Done {
					coordinator.append(s, p, Record{Kind: KindClose})
				}
			}
		}
		coordinator.read(t, s, p)
		f := &coordinator.fold
		next := &actor{name: "next"}
		next.read(t, s, p)
		if !f.Done && !next.append(s, p, Record{Kind: KindTake, Worker: "next"}) {
			t.Fatal("the next worker does not get it")
		}
		for i, n := range ran {
			switch {
			case n > 1:
				t.Fatalf("host %d ran %d times", i, n)
			case f.hosts[i].result != told[i]:
				t.Fatalf("host %d: the fold has a result: %v", i, f.hosts[i].result)
			case !told[i] && n == 1 && f.Ended(i) != fleet.OutcomeUnknown:
				t.Fatalf("host %d ran, and ends as %v", i, f.Ended(i))
			case !f.Done && slices.Contains(next.fold.Remaining(), i) && n > 0:
				t.Fatalf("host %d ran, and would run again", i)
			}
		}
	})
}

// A log in which a record was changed, left out, doubled or put in by somebody who does not have the
// shard is refused at that record, and nothing of it is believed from there on.
// faults.md: R18
func TestFoldRefuses(t *testing.T) {
	p := newPacker()
	defer p.close()
	var good [][]byte
	var f Fold
	add := func(r Record) {
		r.Prev = f.Digest
		message := r.Encode()
		if _, err := f.Apply(uint64(len(good)+1), message, p); err != nil {
			t.Fatal(err)
		}
		good = append(good, message)
	}
	ok := func(i int) Result { return Result{i, &fleet.Result{End: fleet.Exited(fleet.PhaseRun, 0, "", true)}} }
	work := func(w Work) []byte { return p.encode(&w)[0] }
	add(Record{Kind: KindOpen, Body: testShard(3, false)})
	add(Record{Kind: KindTake, Epoch: 1, Worker: "a"})
	add(Record{Kind: KindWork, Epoch: 1, Worker: "a", Body: work(Work{Intents: []int{0, 1}})})
	add(Record{Kind: KindWork, Epoch: 1, Worker: "a", Body: work(Work{Results: []Result{ok(0)}})})
	add(Record{Kind: KindTake, Epoch: 2, Worker: "b"})
	if left := f.Remaining(); !slices.Equal(left, []int{2}) {
		t.Fatalf("left are %v", left)
	}
	for name, r := range map[string]Record{
		"stale epoch":           {Kind: KindWork, Epoch: 1, Worker: "a", Body: work(Work{Results: []Result{ok(1)}})},
		"another's epoch":       {Kind: KindWork, Epoch: 2, Worker: "a", Body: work(Work{Intents: []int{2}})},
		"take of the same":      {Kind: KindTake, Epoch: 2, Worker: "c"},
		"take that skips":       {Kind: KindTake, Epoch: 4, Worker: "c"},
		"take by nobody":        {Kind: KindTake, Epoch: 3},
		"close by a worker":     {Kind: KindClose, Epoch: 3, Worker: "b"},
		"second open":           {Kind: KindOpen, Body: testShard(3, false)},
		"intent for the intent": {Kind: KindWork, Epoch: 2, Worker: "b", Body: work(Work{Intents: []int{1}})},
		"intent for the result": {Kind: KindWork, Epoch: 2, Worker: "b", Body: work(Work{Intents: []int{0}})},
		"second result":         {Kind: KindWork, Epoch: 2, Worker: "b", Body: work(Work{Results: []Result{ok(0)}})},
		"result without intent": {Kind: KindWork, Epoch: 2, Worker: "b", Body: work(Work{Results: []Result{ok(2)}})},
		"host beyond":           {Kind: KindWork, Epoch: 2, Worker: "b", Body: work(Work{Intents: []int{3}})},
		"negative host":         {Kind: KindWork, Epoch: 2, Worker: "b", Body: work(Work{Intents: []int{-1}})},
		"done too early":        {Kind: KindWork, Epoch: 2, Worker: "b", Body: work(Work{Done: true})},
		"late in the log":       {Kind: KindLate, Epoch: 1, Worker: "a", Body: work(Work{Results: []Result{ok(1)}})},
		"unknown kind":          {Kind: "other", Epoch: 2, Worker: "b"},
		"no body":               {Kind: KindWork, Epoch: 2, Worker: "b"},
	} {
		r.Prev = f.Digest
		if again := replay(good, r.Encode(), p); !errors.Is(again.Err, errDamaged) || again.Seq != f.Seq {
			t.Errorf("%s: %v at %d", name, again.Err, again.Seq)
		}
	}
	fork := Record{Kind: KindTake, Epoch: 3, Worker: "c", Prev: digest(good[3])}
	if again := replay(good, fork.Encode(), p); !errors.Is(again.Err, errDamaged) {
		t.Errorf("a fork: %v", again.Err)
	}
	for i := range good {
		without := slices.Delete(slices.Clone(good), i, i+1)
		if again := replay(without, nil, p); i < len(good)-1 && !errors.Is(again.Err, errDamaged) {
			t.Errorf("without record %d: %v", i, again.Err)
		}
		changed := slices.Clone(good)
		changed[i] = append(slices.Clone(good[i]), '\n')
		if again := replay(changed, nil, p); i < len(good)-1 && !errors.Is(again.Err, errDamaged) {
			t.Errorf("record %d changed: %v", i, again.Err)
		}
	}
	// What was late is taken from those who had the epoch, once, and for their intents only.
	late := Record{Kind: KindLate, Epoch: 1, Worker: "a", Body: work(Work{Results: []Result{ok(0), ok(1), ok(2)}})}
	if got, err := f.Late("a", late.Encode(), p); err != nil || len(got) != 1 || got[0].Host != 1 {
		t.Errorf("late: %v, %v", got, err)
	}
	if got, err := f.Late("a", late.Encode(), p); err != nil || len(got) != 0 {
		t.Errorf("late again: %v, %v", got, err)
	}
	for _, epoch := range []int{0, 2, 3} {
		late.Epoch = epoch
		if got, err := f.Late("a", late.Encode(), p); err == nil {
			t.Errorf("late of epoch %d: %v", epoch, got)
		}
	}
}

// replay folds the messages, and one more if it is not nil.
func replay(messages [][]byte, more []byte, p *packer) *Fold {
	f := new(Fold)
	for i, m := range append(slices.Clone(messages), more) {
		if m != nil {
			_, _ = f.Apply(uint64(i+1), m, p) // Err says it
		}
	}
	return f
}

// A body of more than one record arrives whole, and one that a take interrupts does not.
func TestFoldLongBodies(t *testing.T) {
	p := newPacker()
	defer p.close()
	random := make([]byte, 2<<20)
	for i, x := 0, uint32(1); i < len(random); i++ { // does not compress
		x = x*1664525 + 1013904223
		random[i] = byte(x >> 24)
	}
	res := &fleet.Result{End: fleet.Exited(fleet.PhaseRun, 3, "", true), Attempt: 2, Started: time.Unix(5, 0).UTC()}
	res.Stdout, res.Stderr = fleet.Output{Bytes: random, Size: 3 << 20}, fleet.Output{Bytes: []byte("e\n"), Size: 2}
	want := &Work{Intents: []int{0}, Results: []Result{{0, res}}, Done: true}
	bodies := p.encode(want)
	if len(bodies) < 4 {
		t.Fatalf("%d records", len(bodies))
	}
	var f Fold
	add := func(r Record) *Work {
		r.Prev = f.Digest
		w, err := f.Apply(f.Seq+1, r.Encode(), p)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	add(Record{Kind: KindOpen, Body: testShard(1, false)})
	add(Record{Kind: KindTake, Epoch: 1, Worker: "a"})
	add(Record{Kind: KindWork, Epoch: 1, Worker: "a", More: true, Body: bodies[0]})
	add(Record{Kind: KindTake, Epoch: 2, Worker: "b"}) // the beginning counts for nothing
	var got *Work
	for i, body := range bodies {
		if got = add(Record{Kind: KindWork, Epoch: 2, Worker: "b", More: i < len(bodies)-1, Body: body}); got != nil && i < len(bodies)-1 {
			t.Fatalf("whole after %d of %d", i+1, len(bodies))
		}
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); diff != "" || !f.Done {
		t.Errorf("done %v:\n%s", f.Done, diff)
	}
}

// FuzzFold feeds a worker's bytes to the fold: it never panics and never believes more hosts than the
// shard has.
func FuzzFold(f *testing.F) {
	p := newPacker()
	f.Add(p.encode(&Work{Intents: []int{0}})[0], "work", 1)
	f.Add([]byte(`{"results":[{"host":0,"end":{"outcome":"ok"},"stdout":3}]}`+"\nabc"), "late", 1)
	f.Add([]byte("\x28\xb5\x2f\xfd"), "work", 1)
	f.Fuzz(func(t *testing.T, body []byte, kind string, epoch int) {
		var fold Fold
		for i, r := range []Record{{Kind: KindOpen, Body: testShard(2, false)}, {Kind: KindTake, Epoch: 1, Worker: "a"}} {
			r.Prev = fold.Digest
			if _, err := fold.Apply(uint64(i+1), r.Encode(), p); err != nil {
				t.Fatal(err)
			}
		}
		r := Record{Kind: Kind(kind), Epoch: epoch, Worker: "a", Prev: fold.Digest, Body: body}
		if w, err := fold.Apply(3, r.Encode(), p); err == nil && w != nil && (len(w.Results) > 2 || slices.Max(append(w.Intents, 0)) > 1) {
			t.Errorf("believed %+v", w)
		}
		_, _ = fold.Late("a", r.Encode(), p)
		_, _ = DecodeShard(body)
		_, _ = DecodeRecord(body)
		_, _, _ = splitSigned(body)
		var b Beat
		_ = json.Unmarshal(body, &b)
	})
}
