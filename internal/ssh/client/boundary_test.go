package client

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

// cutStride is the distance between the offsets at which a connection is cut; 1 is
// every byte, which takes minutes.
var cutStride = flag.Int("cutstride", 17, "bytes between the offsets at which connections are cut")

// A guillotine passes a number of bytes from the client, then closes the connection
// on both sides.
type guillotine struct {
	limit  atomic.Int64 // bytes of each connection; negative: all
	passed atomic.Int64 // bytes of the last connection
}

func (g *guillotine) carry(client, server *net.TCPConn) {
	var both sync.WaitGroup
	both.Go(func() {
		from := io.Reader(client)
		limit := g.limit.Load()
		if limit >= 0 {
			from = io.LimitReader(client, limit)
		}
		n, _ := io.Copy(server, from)
		g.passed.Store(n)
		if limit >= 0 {
			_, _ = client.Close(), server.Close()
			return
		}
		_ = server.CloseWrite()
	})
	both.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.CloseWrite()
	})
	both.Wait()
	_, _ = client.Close(), server.Close()
}

// A witness knows what a server has actually run.
type witness struct {
	host     fleet.Host
	hostKeys []ssh.PublicKey
	signer   ssh.Signer
	// command returns a command that prints the token.
	command func(token string) string
	// settle waits until no more commands are going to be run.
	settle func()
	// runs returns how often the command with this token was run.
	runs func(token string) int
}

// opensshWitness makes commands append their token to a file.
func opensshWitness(t *testing.T) witness {
	t.Helper()
	s := sshdtest.OpenSSH(t, sshdtest.WithConfig("MaxStartups 200"))
	path := filepath.Join(t.TempDir(), "tokens")
	children := fmt.Sprintf("/proc/%d/task/%[1]d/children", s.PID())
	return witness{
		host: s.Host, hostKeys: s.HostKeys, signer: s.Signer,
		command: func(token string) string { return "echo " + token + " >>" + path + "; echo " + token },
		settle: func() {
			// The server has a child process per connection, which logs the start of a
			// command before it starts it.
			for text := []byte{' '}; len(text) > 0; time.Sleep(time.Millisecond) {
				var err error
				if text, err = os.ReadFile(children); err != nil {
					t.Fatal(err)
				}
			}
			for started := strings.Count(s.Log(), "Starting session: command"); ; time.Sleep(time.Millisecond) {
				text, err := os.ReadFile(path)
				if err == nil && strings.Count(string(text), "\n") >= started {
					return
				}
			}
		},
		runs: func(token string) int {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Count(string(text), token+"\n")
		},
	}
}

// goWitness asks the oracle of golang.org/x/crypto/ssh's server.
func goWitness(t *testing.T) witness {
	t.Helper()
	f, err := simfleet.Start(t.Context(), simfleet.Options{Hosts: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return witness{
		host: f.Host(0), hostKeys: []ssh.PublicKey{f.HostKey(0)}, signer: f.ClientKey(),
		command: func(token string) string { return "echo " + token },
		settle: func() {
			for f.Stats().Open > 0 {
				time.Sleep(time.Millisecond)
			}
		},
		runs: func(token string) int {
			n := 0
			for _, e := range f.Log() {
				if e.Command == "echo "+token {
					n++
				}
			}
			return n
		},
	}
}

// The connection is cut after each byte that follows our first flight. The outcome
// is always true: what never started has not run, what succeeded has the right
// output, and nothing has run twice.
// faults.md: K02 T12
func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) witness{"OpenSSH": opensshWitness, "Go": goWitness} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			for _, p := range []Pipeline{Full, Auth, Off} {
				t.Run(p.String(), func(t *testing.T) { w.cutEverywhere(t, p) })
			}
		})
	}
}

// cutWorkers is the number of concurrent connections.
const cutWorkers = 4

func (w *witness) cutEverywhere(t *testing.T, p Pipeline) {
	first, total := w.measure(t, p)
	var mu sync.Mutex
	ends := make(map[string]fleet.End)
	outputs := make(map[string]string)
	offsets := make(chan int64) // sent and closed below; the workers receive
	var workers sync.WaitGroup
	for range cutWorkers {
		g := new(guillotine)
		middle := startRelay(t, fleet.Target{Host: w.host}.Address(), g.carry)
		workers.Go(func() {
			for k := range offsets {
				g.limit.Store(-1)
				r := w.rig(t, p, middle)
				r.run(t, w.command("before")) // to be remembered
				g.limit.Store(k)
				token := fmt.Sprintf("%v-%d.", p, k)
				e := r.run(t, w.command(token))
				mu.Lock()
				ends[token], outputs[token] = e.End, string(e.stdout)
				mu.Unlock()
			}
		})
	}
	for k := first + int64(*cutStride)/2; k <= total; k += int64(*cutStride) {
		offsets <- k
	}
	close(offsets)
	workers.Wait()
	w.settle()

	counts := make(map[string]int)
	for token, end := range ends {
		runs := w.runs(token)
		counts[end.Outcome.String()+" of "+strconv.Itoa(runs)+" runs"]++
		switch {
		case runs > 1:
			t.Errorf("%s: ran %d times", token, runs)
		case end.Outcome == fleet.OutcomeUnknown:
		case end.Outcome == fleet.OutcomeOK && runs == 1 && outputs[token] == token+"\n":
		case end.Outcome == fleet.OutcomeOK && runs == 1 && end.Flags&fleet.FlagOutputIncomplete != 0:
		case end.Outcome == fleet.OutcomeNeverStarted && runs == 0 && outputs[token] == "":
		default:
			t.Errorf("%s: ended %v(%s) in %v with output %q, ran %d times\ncause: %v",
				token, end.Outcome, end.Reason, end.Phase, outputs[token], runs, end.Err)
		}
	}
	t.Logf("first flight %d bytes, all %d: %v", first, total, counts)
}

func (w *witness) rig(t *testing.T, p Pipeline, middle *relay) *rig {
	r := newRig(w.host, w.hostKeys, w.signer)
	r.host.Name, r.host.Port = "127.0.0.1", middle.port()
	r.Pipeline, r.Memory = p, newMemory(t)
	return r
}

// measure returns the size of our first flight and of all that we send, to a
// remembered server.
func (w *witness) measure(t *testing.T, p Pipeline) (first, total int64) {
	t.Helper()
	g := new(guillotine)
	g.limit.Store(-1)
	r := w.rig(t, p, startRelay(t, fleet.Target{Host: w.host}.Address(), g.carry))
	r.wrap = func(c net.Conn) net.Conn {
		first = 0
		return firstWrite{c, &first}
	}
	for range 2 {
		r.run(t, w.command("measure")).ok(t, "measure\n")
	}
	w.settle()
	return first, g.passed.Load()
}

// firstWrite records the length of the first write.
type firstWrite struct {
	net.Conn
	n *int64
}

func (c firstWrite) Write(p []byte) (int, error) {
	if *c.n == 0 {
		*c.n = int64(len(p))
	}
	return c.Conn.Write(p)
}
