package display

import (
	"context"
	"io"
	"strings"
	"testing"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/output"
	"shoal/internal/ssh"
)

// A talker simulates a command that writes its lines one by one.
type talker struct{ lines int }

func (d talker) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	return talkerConn{lines: d.lines, attempt: a}, nil
}

type talkerConn struct {
	ssh.Conn // nil: nothing asks for a second command
	lines    int
	attempt  *ssh.Attempt
}

func (c talkerConn) Start(_ context.Context, done func(fleet.End)) {
	line := []byte(strings.Repeat("x", 79) + "\n")
	go func() {
		for range c.lines {
			_, _ = c.attempt.Stdout.Write(line)
		}
		done(fleet.End{Outcome: fleet.OutcomeOK, Flags: fleet.FlagExitKnown})
	}()
}

func (talkerConn) Close() error { return nil }

// BenchmarkFollower shows live output of 64 simultaneous commands, 100 lines of
// 80 bytes each: from the command's write to the prefixed line. Each iteration
// is one target.
func BenchmarkFollower(b *testing.B) {
	const lines = 100
	printed := new(byteCount)
	f := newFollower(output.NewLive(output.LiveOptions{Stdout: output.Out{W: printed}, Stderr: output.Out{W: io.Discard}}), nil)
	opts := engine.Options{Dialer: talker{lines}, Fanout: 64, Starts: -1, Follow: f.Announce}
	b.SetBytes(lines * 80)
	b.ReportAllocs()
	for res, err := range engine.Run(b.Context(), opts, func(yield func(ssh.Target) bool) {
		for i := range b.N {
			if !yield(ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "node"}, Index: i, Port: 22}}) {
				return
			}
		}
	}) {
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Result(res); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	if want := b.N * lines * len("node: "+strings.Repeat("x", 79)+"\n"); int(*printed) != want {
		b.Errorf("%d bytes were printed, want %d", *printed, want)
	}
}

// A byteCount counts what is written to it.
type byteCount int

func (n *byteCount) Write(p []byte) (int, error) {
	*n += byteCount(len(p))
	return len(p), nil
}
