package engine_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
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
