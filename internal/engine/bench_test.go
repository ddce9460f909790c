package engine_test

import (
	"context"
	"fmt"
	"testing"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

// An instant is a network that takes no time, so that only the engine's own work is
// measured. It prints one line, and ends on the caller's goroutine.
type instant struct{}

func (instant) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	return instantConn{attempt: a}, nil
}

type instantConn struct {
	ssh.Conn // nil: nothing asks for a second command
	attempt  *ssh.Attempt
}

var helloWorld = []byte("hello world\n")

func (c instantConn) Start(_ context.Context, done func(fleet.End)) {
	_, _ = c.attempt.Stdout.Write(helloWorld)
	done(fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseDrain, Flags: fleet.FlagExitKnown})
}

func (instantConn) Close() error { return nil }

// BenchmarkRun is one target each time, from the iterator to its result.
func BenchmarkRun(b *testing.B) {
	for _, c := range []struct{ fanout, starts int }{{1, -1}, {1000, -1}, {1000, engine.DefaultStarts}} {
		b.Run(fmt.Sprintf("fanout=%d/starts=%d", c.fanout, c.starts), func(b *testing.B) {
			hosts := names(1000)
			opts := engine.Options{Dialer: instant{}, Fanout: c.fanout, Starts: c.starts}
			b.ReportAllocs()
			ok := 0
			for res, err := range engine.Run(b.Context(), opts, engine.Direct(func(yield func(fleet.Target) bool) {
				for i := range b.N {
					if !yield(fleet.Target{Host: fleet.Host{Name: hosts[i%len(hosts)]}, Index: i, User: "u", Port: 22}) {
						return
					}
				}
			})) {
				if err != nil {
					b.Fatal(err)
				}
				if res.Outcome == fleet.OutcomeOK {
					ok++
				}
			}
			if ok != b.N {
				b.Errorf("%d of %d ok", ok, b.N)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "targets/s")
		})
	}
}

// names are made before the timer starts.
func names(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("node%d", i)
	}
	return names
}
