package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/spool"
	"shoal/internal/ssh"
)

func runOne(t *testing.T, opts engine.Options) fleet.Result {
	t.Helper()
	for res, err := range engine.Run(t.Context(), opts, engine.Direct(targets(1, 1))) {
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	t.Fatal("no result")
	return fleet.Result{}
}

// faults.md: S08
func TestOutputIsCapped(t *testing.T) {
	write := func(_ context.Context, a *ssh.Attempt) fleet.End {
		for range 10 {
			_, err1 := a.Stdout.Write([]byte("0123456789"))
			_, err2 := a.Stderr.Write([]byte("ab"))
			if err := errors.Join(err1, err2); err != nil {
				panic(err)
			}
		}
		return fleet.End{Outcome: fleet.OutcomeOK}
	}
	for _, c := range []struct {
		limit          int64
		stdout, stderr int
		truncated      bool
	}{
		{limit: 25, stdout: 25, stderr: 20, truncated: true},
		{limit: 20, stdout: 20, stderr: 20, truncated: true},
		{limit: 100, stdout: 100, stderr: 20},
		{limit: -1, stdout: 100, stderr: 20},
		{limit: 0, stdout: 100, stderr: 20},
	} {
		res := runOne(t, engine.Options{Dialer: &stub{run: write}, MaxOutput: c.limit})
		if len(res.Stdout.Bytes) != c.stdout || len(res.Stderr.Bytes) != c.stderr {
			t.Errorf("limit %d: kept %d and %d, want %d and %d",
				c.limit, len(res.Stdout.Bytes), len(res.Stderr.Bytes), c.stdout, c.stderr)
		}
		if res.Stdout.Size != 100 || res.Stderr.Size != 20 {
			t.Errorf("limit %d: counted %d and %d, want 100 and 20", c.limit, res.Stdout.Size, res.Stderr.Size)
		}
		if got := res.Flags.Has(fleet.FlagOutputTruncated); got != c.truncated {
			t.Errorf("limit %d: truncated = %v, want %v", c.limit, got, c.truncated)
		}
	}
}

// A follower always sees a prefix of the result, and each call of Follow is
// followed by at most one more before the next Next.
func TestFollow(t *testing.T) {
	var mu sync.Mutex
	var followed []byte
	var told int
	var last *engine.Output
	step := make(chan struct{})
	opts := engine.Options{
		Dialer: &stub{run: func(_ context.Context, a *ssh.Attempt) fleet.End {
			for i := range 5 {
				for range 3 {
					_, _ = a.Stdout.Write([]byte{'a' + byte(i)})
				}
				step <- struct{}{}
				<-step
			}
			_, _ = a.Stdout.Write([]byte("end"))
			return fleet.End{Outcome: fleet.OutcomeOK}
		}},
		Follow: func(tail *engine.Output) {
			mu.Lock()
			defer mu.Unlock()
			told++
			last = tail
		},
	}
	go func() {
		for range 5 {
			<-step
			mu.Lock()
			tail := last
			mu.Unlock()
			stdout, _ := tail.Next()
			followed = append(followed, stdout...)
			step <- struct{}{}
		}
	}()
	res := runOne(t, opts)
	if want := "aaabbbcccdddeee"; string(followed) != want || !bytes.HasPrefix(res.Stdout.Bytes, followed) {
		t.Errorf("followed %q, want %q, a prefix of %q", followed, want, res.Stdout.Bytes)
	}
	if told != 6 {
		t.Errorf("told %d times, want once for each Next that had something new, and once for the end", told)
	}
	if stdout, stderr := last.Next(); stdout != nil || stderr != nil {
		t.Errorf("after the result Next gives %q and %q, want nothing: the result holds it", stdout, stderr)
	}
}

// All targets together keep no more than MaxHeld; taking a result frees room, and
// kept output has no gaps.
// faults.md: R10
func TestHeldOutputIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{run: func(_ context.Context, a *ssh.Attempt) fleet.End {
			// Hosts end at different times, so that room is freed while others still write.
			time.Sleep(time.Duration(a.Target.Index) * time.Millisecond)
			for i := range byte(10) {
				_, _ = a.Stdout.Write(bytes.Repeat([]byte{i}, 100))
				time.Sleep(time.Duration(a.Target.Index%7+1) * time.Second)
			}
			return fleet.End{Outcome: fleet.OutcomeOK}
		}}
		opts := engine.Options{Dialer: s, Fanout: 10, MaxHeld: 7000}
		var whole []byte
		for i := range byte(10) {
			whole = append(whole, bytes.Repeat([]byte{i}, 100)...)
		}
		cut := 0
		for res, err := range engine.Run(t.Context(), opts, engine.Direct(targets(40, 40))) {
			if err != nil {
				t.Fatal(err)
			}
			if res.Stdout.Size != 1000 {
				t.Errorf("counted %d bytes, want 1000", res.Stdout.Size)
			}
			if !bytes.HasPrefix(whole, res.Stdout.Bytes) {
				t.Errorf("target %d: what was kept is not a beginning", res.Target.Index)
			}
			if res.Flags.Has(fleet.FlagOutputTruncated) {
				cut++
			}
		}
		// Ten at the same time with 700 bytes each on average: most are truncated, and
		// room is freed for some.
		if cut == 0 || cut == 40 {
			t.Errorf("%d of 40 outputs were cut", cut)
		}
	})
}

// spools are a spool as the engine wants it.
type spools struct{ *spool.Outputs }

func (s spools) Stream() engine.SpoolStream { return s.New() }

// What is beyond the memory limits goes to the spool, unchanged; only what that has no room for
// is cut.
// faults.md: S08
func TestOutputIsSpooled(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	const pieces = 1000
	write := func(_ context.Context, a *ssh.Attempt) fleet.End {
		for i := range pieces {
			if _, err := fmt.Fprintf(a.Stdout, "%09d\n", i); err != nil {
				panic(err)
			}
		}
		return fleet.End{Outcome: fleet.OutcomeOK}
	}
	var whole bytes.Buffer
	for i := range pieces {
		fmt.Fprintf(&whole, "%09d\n", i)
	}
	for _, c := range []struct {
		what                       string
		memory, held, budget, want int64
	}{
		{"in memory", 10 * pieces, -1, 0, 10 * pieces},
		{"beyond the memory of a stream", 2500, -1, 10 * pieces, 10 * pieces},
		{"beyond the memory of all", 10 * pieces, 3700, 10 * pieces, 10 * pieces},
		{"beyond the spool", 2500, -1, 5005, 5005},
		{"no spool to speak of", 2500, -1, 1000, 2500},
	} {
		for _, followed := range []bool{false, true} {
			out := spool.NewOutputs(c.budget)
			opts := engine.Options{Dialer: &stub{run: write}, MaxOutput: -1, MaxMemory: c.memory, MaxHeld: c.held, Spool: spools{out}}
			var seen bytes.Buffer
			if followed { // as the output comes
				opts.Follow = func(o *engine.Output) {
					stdout, _ := o.Next()
					seen.Write(stdout)
				}
			}
			res := runOne(t, opts)
			if !bytes.Equal(res.Stdout.Bytes, whole.Bytes()[:c.want]) || res.Stdout.Size != 10*pieces {
				t.Errorf("%s: kept %d of %d bytes, want %d", c.what, len(res.Stdout.Bytes), res.Stdout.Size, c.want)
			}
			cut := c.want < 10*pieces
			if res.Flags.Has(fleet.FlagOutputTruncated) != cut || cut != (out.Full() != nil) {
				t.Errorf("%s: flags %v, full: %v", c.what, res.Flags, out.Full())
			}
			if followed && !bytes.Equal(seen.Bytes(), res.Stdout.Bytes) {
				t.Errorf("%s: %d bytes were followed", c.what, seen.Len())
			}
			if err := out.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// With FollowAll everything is followed, whatever is kept; what nobody read in time is counted.
func TestFollowAll(t *testing.T) {
	const size = 1 << 20
	for _, c := range []struct {
		what string
		read bool // in time
	}{{"read", true}, {"not read", false}} {
		var seen, left int64
		var last *engine.Output
		write := func(_ context.Context, a *ssh.Attempt) fleet.End {
			for range 16 {
				_, _ = a.Stdout.Write(make([]byte, size/16))
			}
			return fleet.End{Outcome: fleet.OutcomeOK}
		}
		res := runOne(t, engine.Options{Dialer: &stub{run: write}, MaxOutput: 1000, FollowAll: true, Follow: func(o *engine.Output) {
			if last = o; c.read {
				for range 2 { // what is kept, and what is not
					stdout, _ := o.Next()
					seen += int64(len(stdout))
				}
			}
		}})
		for range 2 {
			stdout, _ := last.Next()
			seen += int64(len(stdout))
		}
		left = last.Left()
		if seen+left != size || (left == 0) != c.read || len(res.Stdout.Bytes) != 1000 {
			t.Errorf("%s: %d bytes seen, %d left out, %d kept", c.what, seen, left, len(res.Stdout.Bytes))
		}
	}
}

// What is left of an attempt is followed before the attempt that comes after it, and the Follower
// has nothing to do then.
func TestFollowEarlierAttempts(t *testing.T) {
	for _, c := range []struct {
		what    string
		outcome fleet.Outcome // of the last attempt
		want    string
	}{
		{"the result is the last attempt's", fleet.OutcomeOK, "1: first second 2: third fourth "},
		{"it is the one before", fleet.OutcomeNeverStarted, "1: first second 2: third "},
	} {
		synctest.Test(t, func(t *testing.T) {
			passed, last := "", 0
			waits := make(chan struct{}) // until the last attempt has written something
			f := engine.NewFollower(func(_ fleet.Target, attempt int, _ fleet.Stream, fresh []byte) {
				if passed == "" {
					<-waits
				}
				if attempt != last {
					passed, last = passed+fmt.Sprintf("%d: ", attempt), attempt
				}
				passed += string(fresh)
			}, func(_ fleet.Target, bytes int64) { t.Errorf("%s: %d bytes are left out", c.what, bytes) })
			attempts := 0
			write := func(_ context.Context, a *ssh.Attempt) fleet.End {
				if attempts++; attempts == 1 {
					_, _ = a.Stdout.Write([]byte("first "))
					synctest.Wait() // the Follower has taken it
					_, _ = a.Stdout.Write([]byte("second "))
					return fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonConnReset, Phase: fleet.PhaseRun, Err: errNetwork}
				}
				_, _ = a.Stdout.Write([]byte("third "))
				close(waits)
				synctest.Wait()
				if c.outcome == fleet.OutcomeOK {
					_, _ = a.Stdout.Write([]byte("fourth "))
				}
				return fleet.End{Outcome: c.outcome}
			}
			res := runOne(t, engine.Options{
				Dialer: &stub{run: write}, Idempotent: true, MaxOutput: 2, FollowAll: true, Follow: f.Announce,
			})
			f.Exclude(&res, func() {})
			f.Close()
			if passed != c.want {
				t.Errorf("%s: passed %q, want %q", c.what, passed, c.want)
			}
		})
	}
}
