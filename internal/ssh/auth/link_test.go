package auth

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A peer is the agent's side of one connection.
type peer struct {
	net.Conn
	r      *bufio.Reader
	number int // of the connection, from 1
}

// read returns the next request's text; "" at the end.
func (p *peer) read() string {
	b, err := readMessage(p.r)
	if err != nil {
		return ""
	}
	return string(b)
}

func (p *peer) write(text string) {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
	_, _ = p.Write(append(b, text...))
}

// echo answers each request until the end.
func (p *peer) echo() {
	for text := p.read(); text != ""; text = p.read() {
		p.write("re " + text)
	}
}

// newTestLink returns a client of an agent that runs serve, and the number of connections to
// that agent.
func newTestLink(t *testing.T, limit time.Duration, serve func(*peer)) (*agentClient, *atomic.Int32) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "agent")
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var conns atomic.Int32
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			n := int(conns.Add(1))
			served.Go(func() {
				defer func() { _ = c.Close() }()
				serve(&peer{c, bufio.NewReader(c), n})
			})
		}
	})
	l := newAgentClient(socket, limit, window)
	t.Cleanup(func() {
		l.close()
		_ = listener.Close()
		served.Wait()
	})
	return l, &conns
}

func (l *agentClient) ask(ctx context.Context, text string) (string, error) {
	request, err := frame([]byte(text))
	if err != nil {
		return "", err
	}
	got := l.do(ctx, request)
	return string(got.reply), got.err
}

// askAll sends all texts concurrently and returns the answers in their order.
func (l *agentClient) askAll(ctx context.Context, texts ...string) (answers []string, errs []error) {
	answers, errs = make([]string, len(texts)), make([]error, len(texts))
	var wg sync.WaitGroup
	for i, text := range texts {
		wg.Go(func() { answers[i], errs[i] = l.ask(ctx, text) })
	}
	wg.Wait()
	return answers, errs
}

// The agent answers only after it has received three requests.
func TestRequestsArePipelined(t *testing.T) {
	t.Parallel()
	l, conns := newTestLink(t, time.Minute, func(p *peer) {
		a, b, c := p.read(), p.read(), p.read()
		for _, text := range []string{a, b, c} {
			p.write("re " + text)
		}
		p.echo()
	})
	answers, errs := l.askAll(t.Context(), "a", "b", "c")
	for i, want := range []string{"re a", "re b", "re c"} {
		if answers[i] != want || errs[i] != nil {
			t.Errorf("%q, %v; want %q", answers[i], errs[i], want)
		}
	}
	if conns.Load() != 1 {
		t.Errorf("%d connections, want 1", conns.Load())
	}
}

// At most window requests are outstanding.
func TestTheWindowHolds(t *testing.T) {
	t.Parallel()
	var most atomic.Int32
	l, _ := newTestLink(t, time.Minute, func(p *peer) {
		for text := p.read(); text != ""; text = p.read() {
			// Requests that the client has sent may be in the buffer already.
			requests := int32(1 + p.r.Buffered()/5)
			if requests > most.Load() {
				most.Store(requests)
			}
			p.write("re " + text)
		}
	})
	texts := make([]string, 10*window)
	for i := range texts {
		texts[i] = string(rune('a' + i%26))
	}
	answers, errs := l.askAll(t.Context(), texts...)
	for i, text := range texts {
		if answers[i] != "re "+text || errs[i] != nil {
			t.Fatalf("%q, %v; want %q", answers[i], errs[i], "re "+text)
		}
	}
	if most.Load() > window {
		t.Errorf("%d requests at once, want at most %d", most.Load(), window)
	}
}

// The answer to a cancelled request is not assigned to the next one.
func TestALateAnswerIsThrownAway(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	l, conns := newTestLink(t, time.Minute, func(p *peer) {
		late := p.read()
		close(arrived)
		<-release
		p.write("re " + late)
		p.echo()
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the attempt is over")
	given := make(chan error)
	go func() {
		_, err := l.ask(ctx, "late")
		given <- err
	}()
	<-arrived
	cancel(reason)
	if err := <-given; !errors.Is(err, reason) {
		t.Errorf("%v, want %v", err, reason)
	}
	close(release)
	if answer, err := l.ask(t.Context(), "next"); answer != "re next" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
	if conns.Load() != 1 {
		t.Errorf("%d connections, want 1", conns.Load())
	}
}

// Requests unanswered on a lost connection are repeated on another.
func TestALostConnectionLosesNothing(t *testing.T) {
	t.Parallel()
	l, conns := newTestLink(t, time.Minute, func(p *peer) {
		if p.number > 1 {
			p.echo()
			return
		}
		first := p.read()
		_, _ = p.read(), p.read()
		p.write("re " + first)
	})
	answers, errs := l.askAll(t.Context(), "a", "b", "c")
	for i, want := range []string{"re a", "re b", "re c"} {
		if answers[i] != want || errs[i] != nil {
			t.Errorf("%q, %v; want %q", answers[i], errs[i], want)
		}
	}
	if conns.Load() != 2 {
		t.Errorf("%d connections, want 2", conns.Load())
	}
}

func TestAnAgentThatAlwaysHangsUp(t *testing.T) {
	t.Parallel()
	l, conns := newTestLink(t, time.Minute, func(p *peer) { _ = p.read() })
	if _, err := l.ask(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "EOF") {
		t.Error(err)
	}
	if conns.Load() != 2 {
		t.Errorf("%d connections, want 2", conns.Load())
	}
}

// Each protocol violation costs the request to be answered and the connection; the others are
// repeated.
func TestBreachesOfTheProtocol(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ raw, text string }{
		"no length": {"\x00\x00\x00\x00", "a reply of 0 bytes"},
		"huge":      {"\xff\xff\xff\xff", "a reply of 4294967295 bytes"},
		"too large": {"\x00\x04\x00\x01", "a reply of 262145 bytes"},
	} {
		l, conns := newTestLink(t, time.Minute, func(p *peer) {
			if p.number > 1 {
				p.echo()
				return
			}
			_, _ = p.read(), p.read()
			_, _ = p.Write([]byte(c.raw))
			_ = p.read()
		})
		answers, errs := l.askAll(t.Context(), "a", "b")
		failed := 0
		for i, err := range errs {
			if err != nil {
				failed++
				if !strings.Contains(err.Error(), c.text) {
					t.Errorf("%s: %v", name, err)
				}
			} else if answers[i] != []string{"re a", "re b"}[i] {
				t.Errorf("%s: answer %q", name, answers[i])
			}
		}
		if failed != 1 || conns.Load() != 2 {
			t.Errorf("%s: %d failed on %d connections, want 1 on 2", name, failed, conns.Load())
		}
	}
}

// An unsolicited answer would be assigned to the next request.
func TestAnAnswerToNothing(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	l, _ := newTestLink(t, time.Minute, func(p *peer) {
		if p.number > 1 {
			p.echo()
			return
		}
		p.write("re " + p.read())
		p.write("and another thing")
		if p.read() == "" { // the client closed the connection
			close(ended)
		}
	})
	if _, err := l.ask(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	<-ended
	if answer, err := l.ask(t.Context(), "b"); answer != "re b" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
}

// An agent that does not answer in time, or too slowly, is not used again (faults.md A09):
// waiting requests fail with it, and later ones fail at once.
// faults.md: A09
func TestAHungAgentIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]func(p *peer){
		"silent": func(*peer) {},
		"drips": func(p *peer) {
			for _, err := p.Write([]byte{0, 0, 4, 0}); err == nil; _, err = p.Write([]byte{0}) {
				time.Sleep(time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			l, conns := newTestLink(t, 100*time.Millisecond, func(p *peer) {
				_, _ = p.read(), p.read()
				requests.Add(2)
				reply(p)
				for p.read() != "" {
					requests.Add(1)
				}
			})
			_, errs := l.askAll(t.Context(), "a", "b")
			for range 20 {
				_, err := l.ask(t.Context(), "c")
				errs = append(errs, err)
			}
			for i, err := range errs {
				want := "no answer from the agent in 100ms"
				if i >= 2 {
					want = "is not asked any more"
				}
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("request %d: %v, want %q", i, err, want)
				}
			}
			if err := l.reach(t.Context()); !errors.Is(err, errHung) {
				t.Errorf("it can be reached: %v", err)
			}
			if conns.Load() != 1 || requests.Load() != 2 {
				t.Errorf("%d requests on %d connections, want 2 on 1", requests.Load(), conns.Load())
			}
		})
	}
}

// The same applies if no caller waits as long as the limit: callers give up at the deadlines of
// their attempts.
func TestAHungAgentThatNobodyWaitsForIsGivenUp(t *testing.T) {
	t.Parallel()
	l, conns := newTestLink(t, time.Hour, func(p *peer) {
		for p.read() != "" {
			continue
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), hangTime-grace/4) // the request may be sent late
	defer cancel()
	_, errs := l.askAll(ctx, "a", "b")
	for _, err := range errs {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the end of its context", err)
		}
	}
	for range 3 {
		if _, err := l.ask(t.Context(), "c"); err == nil {
			t.Error("a hung agent answers")
		}
	}
	if conns.Load() != 1 {
		t.Errorf("%d connections, want 1", conns.Load())
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	l, _ := newTestLink(t, time.Minute, func(p *peer) {
		_ = p.read()
		close(arrived)
		_ = p.read()
	})
	ended := make(chan error)
	go func() {
		_, err := l.ask(t.Context(), "a")
		ended <- err
	}()
	<-arrived
	l.close()
	if err := <-ended; !errors.Is(err, errClosed) {
		t.Error(err)
	}
	if _, err := l.ask(t.Context(), "b"); !errors.Is(err, errClosed) {
		t.Error(err)
	}
}

// The same holds while the agent does not read what is being written.
func TestCloseEndsAWrite(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	l, _ := newTestLink(t, time.Hour, func(p *peer) {
		_, _ = p.r.Peek(1)
		close(arrived)
		<-release
	})
	t.Cleanup(func() { close(release) })
	var work sync.WaitGroup
	for range 4 { // each is longer than what the socket holds
		work.Go(func() {
			if _, err := l.ask(t.Context(), strings.Repeat("x", maxMessage)); !errors.Is(err, errClosed) {
				t.Error(err)
			}
		})
	}
	<-arrived
	l.close()
	work.Wait()
}
