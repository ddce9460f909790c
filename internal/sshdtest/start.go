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
	// portTries limits the retries if another process takes the port between
	// our check and the server's bind.
	portTries = 10
	// startLimit is how long a server may take until it listens. It makes a
	// hanging server a failed test.
	startLimit = 30 * time.Second
)

// A launch is a command line with the two log texts that end the wait.
type launch struct {
	argv     []string
	up, busy string
}

// startOnFreePort starts the server on a free port, retries if the port is
// taken meanwhile, and ends the server with the test.
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
			p.launch = l
			return port, p
		}
	}
	t.Fatalf("no port stayed free long enough in %d tries", portTries)
	return 0, nil
}

// Stop ends the server and everything that it has started, as a host that goes down does.
func (s *Server) Stop() { s.proc.end() }

// Start starts a stopped server again, with its keys and at its port.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	l := s.proc.launch
	p, err := run(l.argv, s.proc.mark)
	if err != nil {
		t.Fatalf("starting %s again: %v", l.argv[0], err)
	}
	t.Cleanup(p.end)
	if p.waitFor(t, l.up, l.busy) != l.up {
		t.Fatal("another program has taken the server's port meanwhile")
	}
	p.launch, s.proc = l, p
}

func freePort(t testing.TB) uint16 {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp4", net.JoinHostPort(loopback, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // no data to lose
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// waitFor waits until the log contains one of the texts, and prefers the first.
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
			// Check once more for the last output.
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

// launched returns the launch of one of our own programs, which all print the
// same texts.
func launched(argv []string, port uint16) launch {
	return launch{argv: argv, up: fmt.Sprintf("listening on port %d\n", port), busy: "port in use\n"}
}
