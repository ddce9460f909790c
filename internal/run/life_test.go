package run_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/journal"
	"shoal/internal/run"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/sshdtest"
	"shoal/internal/transfer"
	"shoal/simfleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What a run may still start is not run again beside it.
func TestNoRerunBesideTheRun(t *testing.T) {
	s, f := simulated(t, "echo", simfleet.Options{Hosts: 4})
	r := s.begin(t, run.Remote{})
	e := s.engine
	e.Fanout = 1
	seen := 0
	for _, err := range r.Results(t.Context(), run.Options{Engine: e}) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen > 1 {
			continue
		}
		for _, words := range []string{"not-started", "resumable", "unknown", "all"} {
			sel, err := journal.ParseSelector(words)
			if err != nil {
				t.Fatal(err)
			}
			earlier, err := run.ReadToRerun(t.Context(), s.journal, r.ID, sel)
			if err == nil && len(earlier.Targets) > 0 || err != nil && !errors.Is(err, journal.ErrRunning) {
				t.Errorf("%s: %+v, %v", words, earlier, err)
			}
		}
	}
	end(t, r, journal.Ending{})
	if report := simfleet.Check(f.Log(), slices.Values(s.shown(t, r.ID)), 4); !report.OK() {
		t.Error(report)
	}
}

// trusted has the key of each host by its address.
type trusted map[string]xssh.PublicKey

func (trusted) Algorithms(ssh.Target) []string { return nil }

func (k trusted) Check(t ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	if string(k[t.Address()].Marshal()) != string(key.Marshal()) {
		return errors.New("another host key")
	}
	return nil
}

func (trusted) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

type signers []xssh.Signer

func (s signers) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) { return s, nil }

// planned are targets that are reached directly, by their names.
type planned []fleet.Target

func (p planned) Recorded() iter.Seq[fleet.Target] { return slices.Values(p) }

func (p planned) Targets() iter.Seq[ssh.Target] {
	return func(yield func(ssh.Target) bool) {
		for _, t := range p {
			if !yield(ssh.Target{Target: t}) {
				return
			}
		}
	}
}

func (planned) Planned(t fleet.Target) ssh.Target { return ssh.Target{Target: t} }

// A site is a journal, and hosts with a way to them.
type site struct {
	journal *journal.Journal
	dir     string // the journal's
	engine  engine.Options
	targets planned
}

func newSite(t *testing.T, keys trusted, key xssh.Signer) *site {
	t.Helper()
	dir := t.TempDir()
	j, err := journal.Open(t.Context(), dir, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := client.New(client.Options{
		HostKeys: keys, Identities: signers{key},
		Timeouts: ssh.Timeouts{Dial: time.Minute, Kex: time.Minute, Auth: time.Minute, Session: time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{journal: j, dir: dir, engine: engine.Options{Dialer: d, Attempts: 1}}
	t.Cleanup(func() {
		_ = d.Close()
		_ = s.journal.Close()
	})
	return s
}

// simulated is a site of simulated hosts that all run command.
func simulated(t *testing.T, command string, o simfleet.Options) (*site, *simfleet.Fleet) {
	t.Helper()
	f, err := simfleet.Start(context.WithoutCancel(t.Context()), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	keys := make(trusted)
	s := newSite(t, keys, f.ClientKey())
	for x := range f.Targets() {
		x.User, x.Port = "someone", x.Host.Port
		x.Command = fmt.Sprintf("%s %d", command, x.Index)
		keys[x.Address()] = f.HostKey(x.Index)
		s.targets = append(s.targets, x)
	}
	return s, f
}

// real is a site of one OpenSSH server that runs command for each of n targets.
func real(t *testing.T, n int, command string, opts ...sshdtest.Option) *site {
	t.Helper()
	server := sshdtest.OpenSSH(t, opts...)
	keys := make(trusted)
	s := newSite(t, keys, server.Signer)
	for i := range n {
		x := fleet.Target{Index: i, Host: server.Host, User: server.User, Port: server.Host.Port, Command: command}
		keys[x.Address()] = server.HostKey
		s.targets = append(s.targets, x)
	}
	return s
}

func (s *site) begin(t *testing.T, remote run.Remote) *run.Run {
	t.Helper()
	r, err := run.Begin(t.Context(), s.journal, journal.RunInfo{}, remote, s.targets)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func take(t *testing.T, results iter.Seq2[fleet.Result, error]) []fleet.Result {
	t.Helper()
	var all []fleet.Result
	for res, err := range results {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, res)
	}
	return all
}

func outcomes(results []fleet.Result) (n [fleet.NumOutcomes]int) {
	for _, r := range results {
		n[r.Outcome]++
	}
	return n
}

// shown returns what the journal has of a run.
func (s *site) shown(t *testing.T, id string) (results []fleet.Result) {
	t.Helper()
	for e, err := range s.journal.Show(t.Context(), id, journal.All) {
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, e.Result)
	}
	return results
}

func end(t *testing.T, e interface{ End(journal.Ending) error }, how journal.Ending) {
	t.Helper()
	if err := e.End(how); err != nil {
		t.Fatal(err)
	}
}

// A run is interrupted, resumed and repeated. Each command has its intent in the
// journal when it arrives, runs once, and what the journal shows is what happened.
func TestInterruptedAndResumed(t *testing.T) {
	const hosts, first = 40, 10
	var s *site
	var id atomic.Pointer[string]
	s, f := simulated(t, "echo", simfleet.Options{Hosts: hosts, Oracle: func(x simfleet.Exec) {
		if !x.Ended.IsZero() {
			return
		}
		index, _ := strconv.Atoi(strings.TrimPrefix(x.Command, "echo "))
		for e, err := range s.journal.Show(context.Background(), *id.Load(), func(e *journal.Entry) bool { return e.Target.Index == index }) {
			if err != nil || len(e.Intents) == 0 {
				t.Errorf("target %d runs without an intent: %v", index, err)
			}
		}
	}})
	r := s.begin(t, run.Remote{})
	id.Store(&r.ID)
	drain := make(chan struct{})
	var once sync.Once
	n := 0
	e := s.engine
	e.Fanout, e.Drain = 4, drain
	for _, err := range r.Results(t.Context(), run.Options{Engine: e}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == first {
			once.Do(func() { close(drain) })
		}
	}
	end(t, r, journal.Ending{Interrupted: true})

	left, err := run.ReadToResume(t.Context(), s.journal, r.ID, run.ResumeOptions{})
	late, err2 := run.ReadToResume(t.Context(), s.journal, r.ID, run.ResumeOptions{})
	if err != nil || err2 != nil || n != hosts || len(left.Targets) == 0 || len(left.Targets) > hosts-first {
		t.Fatalf("%d results, %d targets are left: %v, %v", n, len(left.Targets), err, err2)
	}
	again, err := left.Resume(t.Context(), s.journal, run.Remote{}, planned(left.Targets))
	if err != nil {
		t.Fatal(err)
	}
	got := take(t, again.Results(t.Context(), run.Options{Engine: s.engine}))
	if o := outcomes(got); o[fleet.OutcomeOK] != len(left.Targets) {
		t.Errorf("resumed: %v, want %d ok", o, len(left.Targets))
	}
	if _, err := late.Resume(t.Context(), s.journal, run.Remote{}, planned(late.Targets)); !errors.Is(err, journal.ErrRunning) {
		t.Errorf("resumed while it goes on: %v", err)
	}
	end(t, again, journal.Ending{})
	if _, err := late.Resume(t.Context(), s.journal, run.Remote{}, planned(late.Targets)); err == nil || !strings.Contains(err.Error(), "meanwhile") {
		t.Errorf("resumed with what was left before: %v", err)
	}
	if report := simfleet.Check(f.Log(), slices.Values(s.shown(t, r.ID)), hosts); !report.OK() {
		t.Error(report)
	}
	if o := outcomes(s.shown(t, r.ID)); o[fleet.OutcomeOK] != hosts {
		t.Errorf("the journal has %v, want %d ok", o, hosts)
	}

	all, err := run.ReadToRerun(t.Context(), s.journal, "last", journal.Hosts(s.targets[7].Host.Name))
	if err != nil || len(all.Targets) != 1 || all.Targets[0].Index != 0 || all.Targets[0].Command != "echo 7" {
		t.Fatalf("to run again: %+v, %v", all, err)
	}
	repeated, err := all.Rerun(t.Context(), s.journal, journal.RunInfo{}, run.Remote{}, planned(all.Targets))
	if err != nil {
		t.Fatal(err)
	}
	if o := outcomes(take(t, repeated.Results(t.Context(), run.Options{Engine: s.engine}))); o[fleet.OutcomeOK] != 1 {
		t.Errorf("rerun: %v, want 1 ok", o)
	}
	end(t, repeated, journal.Ending{})
	if info, err := s.journal.Run(t.Context(), repeated.ID); err != nil || info.Parent != r.ID {
		t.Errorf("the parent is %q, want %q: %v", info.Parent, r.ID, err)
	}
}

// What a rerun has taken runs once: resume leaves it out, also of an earlier rerun, and
// neither begins while the other has read the same targets.
func TestTakenByARerun(t *testing.T) {
	const hosts = 4
	s, f := simulated(t, "echo", simfleet.Options{Hosts: hosts})
	r := s.begin(t, run.Remote{})
	end(t, r, journal.Ending{Interrupted: true})
	toResume := func(name string, o run.ResumeOptions) *run.Earlier {
		t.Helper()
		e, err := run.ReadToResume(t.Context(), s.journal, name, o)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	toRerun := func(sel journal.Selector) *run.Earlier {
		t.Helper()
		e, err := run.ReadToRerun(t.Context(), s.journal, r.ID, sel)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	rerun := func(e *run.Earlier) (*run.Run, error) {
		return e.Rerun(t.Context(), s.journal, journal.RunInfo{}, run.Remote{}, planned(e.Targets))
	}
	early := toResume(r.ID, run.ResumeOptions{})
	two := journal.Hosts(s.targets[0].Host.Name, s.targets[1].Host.Name)
	first := toRerun(two)
	if said := first.Taken(); said != "" {
		t.Errorf("a first rerun says %q", said)
	}
	taker, err := rerun(first)
	if err != nil {
		t.Fatal(err)
	}
	end(t, taker, journal.Ending{Interrupted: true}) // nothing of it ran

	if _, err := early.Resume(t.Context(), s.journal, run.Remote{}, planned(early.Targets)); err == nil || !strings.Contains(err.Error(), "meanwhile") {
		t.Errorf("resumed what a rerun has taken meanwhile: %v", err)
	}
	again := toRerun(journal.Resumable)
	if said := again.Taken(); len(again.Targets) != hosts || said != "targets that a rerun has taken before: 2 (the last such run: "+taker.ID+")" {
		t.Errorf("%d targets, and a second rerun says %q", len(again.Targets), said)
	}
	left := toResume(r.ID, run.ResumeOptions{})
	if said := left.Taken(); len(left.Targets) != 2 || left.Targets[0].Index != 2 ||
		said != "targets left out because a rerun has taken them: 2 (the last such run: "+taker.ID+")" {
		t.Errorf("%d targets are left, and it says %q", len(left.Targets), said)
	}
	if all := toResume(r.ID, run.ResumeOptions{PastRerun: true}); len(all.Targets) != hosts {
		t.Errorf("%d targets past the rerun", len(all.Targets))
	}
	resumed, err := left.Resume(t.Context(), s.journal, run.Remote{}, planned(left.Targets))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rerun(again); err == nil || !strings.Contains(err.Error(), "meanwhile") {
		t.Errorf("rerun beside the resumed run: %v", err)
	}
	if _, err := run.ReadToRerun(t.Context(), s.journal, r.ID, journal.Resumable); !errors.Is(err, journal.ErrRunning) {
		t.Errorf("to rerun what a resumed run works on: %v", err)
	}
	take(t, resumed.Results(t.Context(), run.Options{Engine: s.engine}))
	end(t, resumed, journal.Ending{})

	last, err := rerun(toRerun(two))
	if err != nil {
		t.Fatal(err)
	}
	take(t, last.Results(t.Context(), run.Options{Engine: s.engine}))
	end(t, last, journal.Ending{})
	if of := toResume(taker.ID, run.ResumeOptions{}); len(of.Targets) != 0 || !strings.Contains(of.Taken(), ": 2 (") {
		t.Errorf("of the first rerun %d targets are left: %s", len(of.Targets), of.Taken())
	}
	if n := f.Stats().Execs; n != hosts {
		t.Errorf("%d commands on %d hosts", n, hosts)
	}
}

// Of two reruns that have read the same targets at once, one begins; the other is told, and
// may rerun them knowingly.
func TestRerunsAtOnce(t *testing.T) {
	const hosts, reruns = 4, 8
	s, _ := simulated(t, "echo", simfleet.Options{Hosts: hosts})
	r := s.begin(t, run.Remote{})
	end(t, r, journal.Ending{Interrupted: true})
	read := func() *run.Earlier {
		t.Helper()
		e, err := run.ReadToRerun(t.Context(), s.journal, r.ID, journal.Resumable)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	rerun := func(e *run.Earlier) (*run.Run, error) {
		return e.Rerun(t.Context(), s.journal, journal.RunInfo{}, run.Remote{}, planned(e.Targets))
	}
	var earlier [reruns]*run.Earlier
	for i := range earlier {
		earlier[i] = read()
	}
	var begun [reruns]*run.Run
	var errs [reruns]error
	var wg sync.WaitGroup
	for i, e := range earlier {
		wg.Go(func() { begun[i], errs[i] = rerun(e) })
	}
	wg.Wait()
	n := 0
	for i, r := range begun {
		if r != nil {
			end(t, r, journal.Ending{})
			n++
		} else if text := fmt.Sprint(errs[i]); !strings.Contains(text, "meanwhile") && !errors.Is(errs[i], journal.ErrRerun) {
			t.Error(text)
		}
	}
	if n != 1 {
		t.Errorf("%d of %d reruns have begun: %v", n, reruns, errs)
	}
	knowing, err := rerun(read())
	if err != nil {
		t.Fatal(err)
	}
	end(t, knowing, journal.Ending{})

	// While another begins one.
	late := read()
	release, err := s.journal.LockReruns(r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rerun(late); !errors.Is(err, journal.ErrRerun) {
		t.Errorf("beside a rerun that begins: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

// A run that its brake has stopped is resumed on request only.
func TestBrakedAndResumed(t *testing.T) {
	s, _ := simulated(t, "exit 1; echo", simfleet.Options{Hosts: 20})
	r := s.begin(t, run.Remote{})
	e := s.engine
	e.Fanout, e.FailFast = 1, true
	got := take(t, r.Results(t.Context(), run.Options{Engine: e}))
	end(t, r, journal.Ending{})
	_, err := run.ReadToResume(t.Context(), s.journal, r.ID, run.ResumeOptions{})
	braked, ok := errors.AsType[*run.BrakedError](err)
	left, err2 := run.ReadToResume(t.Context(), s.journal, r.ID, run.ResumeOptions{PastBrake: true})
	if want := outcomes(got)[fleet.OutcomeCancelled]; !ok || braked.Braked != want || want == 0 || err2 != nil || len(left.Targets) != want {
		t.Errorf("%v: %+v, and then %v; want %d targets", err, braked, err2, want)
	}
}

// Targets that a brake kept from another attempt were stopped by it too.
func TestBrakedBeforeAnotherAttempt(t *testing.T) {
	s, _ := simulated(t, "echo", simfleet.Options{Hosts: 8, Fault: func(i int) simfleet.Fault {
		if i == 7 {
			return simfleet.FaultExecRefused
		}
		return simfleet.FaultReset
	}})
	e := s.engine
	e.FailFast, e.Attempts = true, engine.MaxAttempts
	r := s.begin(t, run.Remote{})
	for _, err := range r.Results(t.Context(), run.Options{Engine: e}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	end(t, r, journal.Ending{})
	_, err := run.ReadToResume(t.Context(), s.journal, r.ID, run.ResumeOptions{})
	if braked, ok := errors.AsType[*run.BrakedError](err); !ok || braked.Braked != 7 {
		t.Errorf("%+v, %v", braked, err)
	}
}

// When the journal fails, nothing is started any more, it is said once, and every
// target still has a result.
func TestJournalFails(t *testing.T) {
	const hosts = 50
	s, f := simulated(t, "echo", simfleet.Options{Hosts: hosts})
	r := s.begin(t, run.Remote{})
	e := s.engine
	e.Fanout = 2
	var lost []error
	n := 0
	for _, err := range r.Results(t.Context(), run.Options{Engine: e, Lost: func(err error) { lost = append(lost, err) }}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			if err := s.journal.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if execs := f.Stats().Execs; n != hosts || execs > 4 || len(lost) != 1 || !errors.Is(lost[0], journal.ErrEnded) {
		t.Errorf("%d results, %d commands, %v", n, execs, lost)
	}
}

// A command that was given up is killed, and its result says so; without the time
// for it the run names the host.
func TestKilledOnCancel(t *testing.T) {
	dir := t.TempDir()
	s := real(t, 2, "echo started; exec sleep 1000")
	for _, hurried := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		hurry := make(chan struct{})
		if hurried {
			close(hurry)
		}
		var started atomic.Int32
		e := s.engine
		e.Follow = func(o *engine.Output) {
			if out, _ := o.Next(); strings.Contains(string(out), "started") && started.Add(1) == 2 {
				cancel()
			}
		}
		r := s.begin(t, run.Remote{KillOnCancel: true, Dir: filepath.Join(dir, "marks")})
		want := fleet.OutcomeSignalled
		if hurried {
			want = fleet.OutcomeUnknown
		}
		for _, res := range take(t, r.Results(ctx, run.Options{Engine: e, Hurry: hurry})) {
			if res.Outcome != want || (res.Reason == fleet.ReasonKilled) == hurried {
				t.Errorf("hurried %v: %v(%s): %v", hurried, res.Outcome, res.Reason, res.Err)
			}
		}
		if n := len(r.GivenUp()); (n == 2) != hurried || (n == 0) == hurried {
			t.Errorf("hurried %v: %d hosts may still run it", hurried, n)
		}
		end(t, r, journal.Ending{Interrupted: true})
		cancel()
	}
}

// inquire asks about the last run.
func (s *site) inquire(t *testing.T, sel journal.Selector) *run.Inquiry {
	t.Helper()
	info, _, err := run.ReadMarked(t.Context(), s.journal, "last")
	if err != nil {
		t.Fatal(err)
	}
	q, err := run.Inquire(t.Context(), s.journal, info, sel)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Reach(s.engine, planned(q.Targets).Targets()); err != nil {
		t.Fatal(err)
	}
	return q
}

// What was given up is unknown until its marker says how it ended.
func TestResolved(t *testing.T) {
	dir := t.TempDir()
	gate, over := filepath.Join(dir, "gate"), filepath.Join(dir, "over")
	s := real(t, 1, fmt.Sprintf("echo started; while [ ! -e %s ]; do sleep 0.1; done; : > %s; exit 3", gate, over))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e := s.engine
	e.Follow = func(*engine.Output) { cancel() }
	r := s.begin(t, run.Remote{Once: true, Dir: filepath.Join(dir, "marks")})
	if got := take(t, r.Results(ctx, run.Options{Engine: e})); outcomes(got)[fleet.OutcomeUnknown] != 1 {
		t.Fatalf("ended %v", outcomes(got))
	}
	end(t, r, journal.Ending{Interrupted: true})

	ask := func() (answer run.Resolution) {
		q := s.inquire(t, run.Unresolved)
		for a, err := range q.Resolve(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			answer = a
		}
		if err := q.End(0); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if a := ask(); a.Known || a.Result.Err == nil || !strings.Contains(a.Result.Err.Error(), "still runs") {
		t.Errorf("while it runs: %+v", a)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for { // its wrapper records the end a moment after the command's
		if a := ask(); a.Known {
			if a.Result.Outcome != fleet.OutcomeFailed || a.Result.Status != 3 {
				t.Errorf("ended %v, status %d", a.Result.Outcome, a.Result.Status)
			}
			break
		}
	}
	if got := s.shown(t, r.ID)[0]; got.Outcome != fleet.OutcomeFailed || got.Status != 3 || string(got.Stdout.Bytes) != "started\n" {
		t.Errorf("the journal has %v, status %d, %q", got.Outcome, got.Status, got.Stdout.Bytes)
	}
}

// Detached commands are waited for; their output is fetched, recorded, and then
// removed from the host.
func TestCollected(t *testing.T) {
	dir := t.TempDir()
	gate, marks := filepath.Join(dir, "gate"), filepath.Join(dir, "marks")
	s := real(t, 2, fmt.Sprintf("while [ ! -e %s ]; do sleep 0.1; done; echo out; echo err >&2; exit 4", gate))
	r := s.begin(t, run.Remote{Detach: true, Dir: marks})
	if got := take(t, r.Results(t.Context(), run.Options{Engine: s.engine})); outcomes(got)[fleet.OutcomeDetached] != 2 {
		t.Fatalf("ended %v", outcomes(got))
	}
	end(t, r, journal.Ending{})

	q := s.inquire(t, run.Unresolved)
	waited := 0
	c := q.Collect(run.CollectOptions{MaxOutput: -1, Wait: true, Waiting: func(pending []run.Pending, _ time.Duration) {
		if waited++; waited == 1 && len(pending) != 2 {
			t.Errorf("waiting for %+v", pending)
		}
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Error(err)
		}
	}})
	results := take(t, c.Results(t.Context()))
	for _, res := range append(results, s.shown(t, r.ID)...) {
		if res.Outcome != fleet.OutcomeFailed || res.Status != 4 || string(res.Stdout.Bytes) != "out\n" || string(res.Stderr.Bytes) != "err\n" {
			t.Errorf("ended %v, status %d, %q, %q", res.Outcome, res.Status, res.Stdout.Bytes, res.Stderr.Bytes)
		}
	}
	if len(results) != 2 || len(c.Pending()) != 0 || waited == 0 {
		t.Errorf("%d results, %d pending, waited %d times", len(results), len(c.Pending()), waited)
	}
	if left, err := c.Forget(t.Context()); err != nil || len(left.Writing)+len(left.Cut)+len(left.Kept) != 0 {
		t.Errorf("not removed from %v: %v", left, err)
	}
	if err := q.End(0); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(marks); err != nil || len(left) != 0 {
		t.Errorf("%d markers are left: %v", len(left), err)
	}
}

// Without the command's text, the journal has nothing of its variables and its input either.
func TestNoCommandIsKept(t *testing.T) {
	s, _ := simulated(t, "echo", simfleet.Options{Hosts: 1})
	remote := run.Remote{Env: []string{"PIN=1234"}, Umask: "027", Input: strings.NewReader("1234"), InputDigest: "03ac67"}
	for _, noCommand := range []bool{false, true} {
		r, err := run.Begin(t.Context(), s.journal, journal.RunInfo{NoCommand: noCommand}, remote, s.targets)
		if err != nil {
			t.Fatal(err)
		}
		end(t, r, journal.Ending{})
		info, err := s.journal.Run(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"umask": "027"}
		if !noCommand {
			want["env"], want["stdin"] = `"PIN=1234"`, "4 03ac67"
		}
		if !maps.Equal(info.Options, want) {
			t.Errorf("no command %v: %q, want %q", noCommand, info.Options, want)
		}
	}
}

// A run that copies files is marked as one whose targets have no command lines, and what has
// something unknown in their place is refused.
func TestCopiesAreMarked(t *testing.T) {
	s, _ := simulated(t, "echo", simfleet.Options{Hosts: 1})
	pull, err := transfer.NewPull(t.TempDir(), 1, transfer.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	asked := journal.Settings{Directory: "/"}
	for _, remote := range []run.Remote{{}, {Pull: pull}} {
		r, err := run.Begin(t.Context(), s.journal, journal.RunInfo{Settings: &asked}, remote, s.targets)
		if err != nil {
			t.Fatal(err)
		}
		end(t, r, journal.Ending{})
		info, err := s.journal.Run(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if info.Settings.NotCommands != (remote.Pull != nil) || info.Settings.Directory != "/" || asked.NotCommands {
			t.Errorf("%+v", info.Settings)
		}
		if err := remote.CheckInput(info); err != nil {
			t.Error(err)
		}
		info.Options = nil
		if err := (run.Remote{}).CheckInput(info); errors.Is(err, journal.ErrNewer) != (remote.Pull != nil) {
			t.Errorf("with what is not known here: %v", err)
		}
	}
	if err := pull.Close(); err != nil {
		t.Error(err)
	}
}
