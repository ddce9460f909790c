package sshdtest

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

const (
	loopback = "127.0.0.1"
	// portTries bounds how often another process may take the port between our
	// finding it free and the server's binding it.
	portTries = 10
	// startLimit is how long a server may take until it listens. It only turns
	// a server that hangs into a failed test.
	startLimit = 30 * time.Second
)

// A launch is a command line and the two texts in its log that end the wait.
type launch struct {
	argv     []string
	up, busy string
}

// startOnFreePort starts the server until it gets the port that was free a
// moment before, and has it ended with the test.
func startOnFreePort(t testing.TB, mark string, with func(port uint16) launch) (uint16, *process) {
	t.Helper()
	for range portTries {
		port := freePort(t)
		l := with(port)
		p, err := run(l.argv, mark)
		if err != nil {
			t.Fatalf("starting %s: %v", l.argv[0], err)
		}
		t.Cleanup(p.end)
		if p.waitFor(t, l.up, l.busy) == l.up {
			return port, p
		}
	}
	t.Fatalf("no port stayed free long enough in %d tries", portTries)
	return 0, nil
}

func freePort(t testing.TB) uint16 {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp4", net.JoinHostPort(loopback, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // nothing was sent; there is nothing to lose
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// waitFor waits until the log has one of the texts, the first one first.
func (p *process) waitFor(t testing.TB, texts ...string) string {
	t.Helper()
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	for {
		more := p.log.changed()
		log := p.log.String()
		for _, text := range texts {
			if strings.Contains(log, text) {
				return text
			}
		}
		select {
		case <-more:
		case <-p.ended:
			// What it said last may not have been looked at yet.
			for _, text := range texts {
				if strings.Contains(p.log.String(), text) {
					return text
				}
			}
			t.Fatalf("%s ended before it listened:\n%s", p.cmd.Path, p.log.String())
		case <-limit.C:
			t.Fatalf("%s does not listen after %v:\n%s", p.cmd.Path, startLimit, p.log.String())
		}
	}
}

// launched is the launch of one of our own programs, which say it in one way.
func launched(argv []string, port uint16) launch {
	return launch{argv: argv, up: fmt.Sprintf("listening on port %d\n", port), busy: "port in use\n"}
}
