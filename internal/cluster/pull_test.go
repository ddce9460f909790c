package cluster

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
	"shoal/internal/transfer"
	"shoal/simfleet"
)

// pulled is what hosts have, of which a pull gets one half at once and the other once go is closed, where it is the first of
// its host.
type pulled struct {
	files  [][]byte       // by host
	counts []atomic.Int32 // pulls of each
	half   chan int       // a host of which the first half was sent for the first time; has room for all
	again  chan struct{}  // closed by the test
}

func newPulled(hosts int) *pulled {
	p := &pulled{counts: make([]atomic.Int32, hosts), half: make(chan int, hosts), again: make(chan struct{})}
	for i := range hosts {
		p.files = append(p.files, bytes.Repeat(fmt.Appendf(nil, "line of host %d\n", i), 20_000))
	}
	return p
}

// play is the answer of a host; see simfleet.Options.
func (p *pulled) play(i int, _ string, stdin io.Reader, stdout, _ io.Writer) (uint32, bool) {
	nonce, err := bufio.NewReader(stdin).ReadString('\n')
	if err != nil {
		return 1, true
	}
	mark, data := "shoal/1 "+strings.TrimSpace(nonce)+" ", p.files[i]
	say := func(text []byte) {
		if _, failed := stdout.Write(text); failed != nil {
			err = failed
		}
	}
	say(fmt.Appendf(nil, "%ss 0\n%sf %d 644 0 -\n/f\x00", mark, mark, len(data)))
	say(data[:len(data)/2])
	if p.counts[i].Add(1) == 1 {
		p.half <- i
		<-p.again
	}
	say(data[len(data)/2:])
	say([]byte(mark + "end 2\n"))
	if err != nil {
		return 1, true
	}
	return 0, true
}

// pull pulls the file of each host through workers, and checks that all have come.
func (s *site) pull(p *pulled, lease time.Duration) {
	s.t.Helper()
	conn := s.conn()
	s.t.Cleanup(conn.Close)
	dir := s.t.TempDir()
	files, err := transfer.NewPull(dir, 1, transfer.PullOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	files.Queued = true
	if err := files.Open(); err != nil {
		s.t.Fatal(err)
	}
	c, err := NewCoordinator(conn, CoordinatorOptions{
		Signer: s.signer, Lease: lease, Options: Options{Pull: true, Stream: 1 << 20, Attempts: 1}, Notice: func(text string) { s.t.Logf("coordinator: %s", text) },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	if err := c.Begin(s.t.Context(), "run-"+rand.Text()[:8]); err != nil {
		s.t.Fatal(err)
	}
	targets := func(yield func(ssh.Target) bool) {
		for t := range s.fleet.Targets() {
			t.Command, t.User = "/f", s.connect.User
			if t.Port == 0 {
				t.Port = s.fleet.Port()
			}
			if !yield(ssh.Target{Target: t}) {
				return
			}
		}
	}
	o := engine.Options{Dialer: transfer.NewPullDialer(c, files), Idempotent: true, Attempts: 3, Starts: -1, Fanout: s.hosts}
	results := 0
	for res, err := range engine.Run(s.t.Context(), o, targets) {
		if err != nil {
			s.t.Fatal(err)
		}
		results++
		if res.Outcome != fleet.OutcomeOK {
			s.t.Errorf("target %d: %v, %s, %v", res.Target.Index, res.Outcome, res.Reason, res.Err)
			continue
		}
		got, err := os.ReadFile(filepath.Join(dir, res.Target.Host.String(), "f"))
		if err != nil || !bytes.Equal(got, p.files[res.Target.Index]) {
			s.t.Errorf("target %d: %d bytes of %d, %v", res.Target.Index, len(got), len(p.files[res.Target.Index]), err)
		}
	}
	if err := files.Close(); err != nil {
		s.t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != s.hosts || results != s.hosts {
		s.t.Errorf("%d results, %d entries, %v", results, len(entries), err)
	}
	for i := range p.counts {
		if n := p.counts[i].Load(); n != 2 {
			s.t.Errorf("host %d was asked %d times", i, n)
		}
	}
}

// A worker is killed with SIGKILL in the middle of a pull: what has come is dropped, and another worker pulls the files
// again.
// faults.md: R18
func TestPullFromLostWorker(t *testing.T) {
	p := newPulled(3)
	s := newSite(t, simfleet.Options{Hosts: 3, Play: p.play})
	first := s.process("first")
	over := make(chan error, 1)
	go func() {
		for range p.files {
			<-p.half
		}
		err := first.Process.Kill()
		s.process("second")
		close(p.again)
		over <- err
	}()
	s.pull(p, 300*time.Millisecond)
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// A worker is silent for a lease in the middle of a pull, and lives: another has its shard, so that the rest of the file does
// not come into the log. Its word that the command has ended well is not taken for a file; it is pulled again.
// faults.md: R18
func TestPullFromFencedWorker(t *testing.T) {
	p := newPulled(1)
	s := newSite(t, simfleet.Options{Hosts: 1, Play: p.play})
	replaced := make(chan struct{})
	closeOnce := sync.OnceFunc(func() { close(replaced) })
	var records atomic.Int32
	leave := s.worker("first", func(o *WorkerOptions) {
		o.beat = time.Hour // one sign of life, and no other
		o.hook = func(r *Record) {
			if r.Kind == KindWork && records.Add(1) > 1 {
				<-replaced
			}
		}
	})
	over := make(chan struct{})
	go func() {
		defer close(over)
		<-p.half
		s.worker("second", func(o *WorkerOptions) {
			o.hook = func(r *Record) {
				if r.Kind == KindWork {
					closeOnce()
				}
			}
		})
		close(p.again)
		<-replaced
		leave()
	}()
	s.pull(p, 2*time.Second) // the first must have begun within it
	<-over
}
