package sshtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/sshdtest"
)

// A stream is an ssh.Stream of what is added to it.
type stream struct {
	mu    sync.Mutex
	data  []byte // from offset base on
	base  int64
	ended bool
	err   error
	wake  func()
	asked int // calls of Next
}

func (s *stream) Notify(wake func()) {
	s.mu.Lock()
	s.wake = wake
	s.mu.Unlock()
	wake()
}

func (s *stream) Next(p []byte, at int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	s.data, s.base = s.data[at-s.base:], at
	n := copy(p, s.data)
	switch {
	case s.err != nil:
		return n, s.err
	case s.ended && n == len(s.data):
		return n, io.EOF
	}
	return n, nil
}

func (s *stream) add(p []byte, ended bool) {
	s.mu.Lock()
	s.data, s.ended = append(s.data, p...), ended
	wake := s.wake
	s.mu.Unlock()
	if wake != nil {
		wake()
	}
}

func (s *stream) sent() (at int64, asked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base, s.asked
}

// answering adds to a stream what next returns for each write, until it returns "".
type answering struct {
	stream *stream
	next   func() string
}

func (a answering) Write(p []byte) (int, error) {
	text := a.next()
	a.stream.add([]byte(text), text == "")
	return len(p), nil
}

// testStream sends standard input that becomes available while the command runs.
// faults.md: S16
func testStream(t *testing.T, newDialer Factory) {
	lines := func(ch xssh.Channel) { // answers each line
		in := bufio.NewReader(ch)
		for n := 0; ; n++ {
			_, _ = fmt.Fprintf(ch, "%d?", n)
			line, err := in.ReadString('\n')
			if err != nil {
				_, _ = fmt.Fprintf(ch.Stderr(), "end %q", line)
				return
			}
			_, _ = io.WriteString(ch.Stderr(), line)
		}
	}
	dialogue := func(t *testing.T, d ssh.Dialer, a *ssh.Attempt, elsewhere bool) string {
		t.Helper()
		in, n := new(stream), 0
		next := func() string {
			if n++; n > 5 {
				return ""
			}
			return fmt.Sprintf("line %d\n", n)
		}
		var stderr sink
		a.Stream, a.Stdout, a.Stderr = in, answering{in, next}, &stderr
		if elsewhere { // answered by another goroutine
			questions := make(chan struct{}, 16)
			a.Stdout = told(questions)
			var answers sync.WaitGroup
			answers.Go(func() {
				for range questions {
					_, _ = answering{in, next}.Write(nil)
				}
			})
			defer answers.Wait()
			defer close(questions)
		}
		c, err := d.Dial(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		done := make(chan fleet.End, 1)
		c.Start(t.Context(), func(e fleet.End) { done <- e })
		report{End: <-done}.ok(t)
		in.wake() // does nothing any more
		return stderr.buf.String()
	}
	const want = "line 1\nline 2\nline 3\nline 4\nline 5\n"
	t.Run("dialogue", func(t *testing.T) {
		d, attempt := own(t, newDialer, xssh.Config{}, lines)
		for _, elsewhere := range []bool{false, true} {
			if got := dialogue(t, d, attempt(nil), elsewhere); got != want+`end ""` {
				t.Errorf("came %q", got)
			}
		}
	})
	t.Run("real", func(t *testing.T) {
		s := realOne("openssh", sshdtest.OpenSSH(t))
		d := s.dialer(t, newDialer, patient())
		for range 3 { // a client that remembers the host sends the command early from the second on
			a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: s.target(
				"echo; while read -r line; do echo \"$line\" >&2; sleep 0.01; echo; done")}}
			if got := dialogue(t, d, a, false); got != want {
				t.Errorf("came %q", got)
			}
		}
	})
	t.Run("large", func(t *testing.T) {
		d, attempt := own(t, newDialer, xssh.Config{RekeyThreshold: 256 << 10}, sum)
		for _, size := range []int{0, 1, window, window + 1, 10 << 20} {
			in, text := new(stream), bytesOf(size)
			in.add(text, true)
			a := attempt(nil)
			a.Stream = in
			r := runAttempt(t.Context(), t, d, a)
			if r.ok(t); string(r.stdout) != digest(text) {
				t.Errorf("of %d bytes came %q, want %q", size, r.stdout, digest(text))
			}
		}
	})
	t.Run("window closed", func(t *testing.T) {
		release := make(chan struct{})
		d, attempt := own(t, newDialer, xssh.Config{}, func(ch xssh.Channel) {
			<-release
			sum(ch)
		})
		in, text := new(stream), bytesOf(window+2000)
		in.add(text[:window+1000], false)
		a := attempt(nil)
		a.Stream = in
		ended := make(chan report, 1)
		go func() { ended <- runAttempt(t.Context(), t, d, a) }()
		for at, _ := in.sent(); at < window-1; at, _ = in.sent() {
			pause()
		}
		in.add(text[window+1000:], true) // while nothing can be sent
		close(release)
		r := <-ended
		if r.ok(t); string(r.stdout) != digest(text) {
			t.Errorf("came %q, want %q", r.stdout, digest(text))
		}
	})
	t.Run("peer ends first", func(t *testing.T) {
		d, attempt := own(t, newDialer, xssh.Config{}, func(ch xssh.Channel) { _, _ = ch.Write([]byte("early")) })
		in := new(stream)
		in.add([]byte("not all"), false)
		a := attempt(nil)
		a.Stream = in
		r := runAttempt(t.Context(), t, d, a)
		if r.ok(t); string(r.stdout) != "early" {
			t.Errorf("output %q", r.stdout)
		}
		in.add([]byte("too late"), true)
	})
	t.Run("cannot be read", func(t *testing.T) {
		d, attempt := own(t, newDialer, xssh.Config{}, sum)
		a := attempt(nil)
		a.Stream = &stream{err: errBroken}
		r := runAttempt(t.Context(), t, d, a)
		r.want(t, fleet.OutcomeUnknown, fleet.ReasonInternal, fleet.PhaseRun, 0)
		if !errors.Is(r.Err, errBroken) {
			t.Errorf("cause %v", r.Err)
		}
	})
	for _, how := range []string{"context", "close", "lost"} {
		t.Run("stopped by "+how, func(t *testing.T) { testStopStream(t, newDialer, how) })
	}
}

// told is a writer that sends for each write.
type told chan<- struct{}

func (c told) Write(p []byte) (int, error) {
	c <- struct{}{}
	return len(p), nil
}

// testStopStream ends an attempt while its stream has nothing.
func testStopStream(t *testing.T, newDialer Factory, how string) {
	d, attempt := own(t, newDialer, xssh.Config{}, func(ch xssh.Channel) { _, _ = io.Copy(io.Discard, ch) })
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	in, a := new(stream), attempt(nil)
	a.Stream = in
	middle := newRelay(t, a.Target.Address())
	a.Target.Port = middle.listener.Addr().(*net.TCPAddr).AddrPort().Port()
	conn, err := d.Dial(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan fleet.End, 1)
	conn.Start(ctx, func(end fleet.End) { done <- end })
	for _, asked := in.sent(); asked == 0; _, asked = in.sent() {
		pause()
	}
	switch how {
	case "context":
		cancel(errStop)
	case "close":
		_ = conn.Close()
	default:
		middle.cut()
	}
	if end := <-done; end.Outcome != fleet.OutcomeUnknown || end.Phase != fleet.PhaseRun {
		t.Errorf("ended %v in %v: %v", end.Outcome, end.Phase, end.Err)
	}
	in.add([]byte("too late"), true)
	_ = conn.Close()
}
