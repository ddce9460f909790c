package display

import (
	"fmt"
	"io"
	"sync"
	"time"

	"shoal/internal/ui"
)

// maxMessages bounds the text that waits to be written, in bytes. Text beyond
// it is dropped: a blocked reader must not fill the memory. 4 MiB are what -v tells of
// about 4,000 hosts.
const maxMessages = 4 << 20

// Messages is an io.Writer that writes on its own goroutine. Its callers, such
// as the signal handling, never wait for a blocked terminal or pipe.
type Messages struct {
	w       io.Writer
	columns func() int // of the terminal, whose lines are broken between words; 0 for others

	mu     sync.Mutex
	change *sync.Cond // guards and signals changes of the fields below
	text   []byte     // not yet passed to w
	busy   bool       // w is writing
	closed bool
	lost   int // messages that were dropped since the last write
}

func newMessages(w io.Writer, columns func() int) *Messages {
	m := &Messages{w: w, columns: columns}
	m.change = sync.NewCond(&m.mu)
	go m.write() // ends after close; if w hangs, it ends with the process
	return m
}

// Write queues p, which is whole lines, unless m is closed. It never waits and never fails.
func (m *Messages) Write(p []byte) (int, error) {
	text := ui.Wrap(string(p), m.columns())
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
	case len(m.text)+len(text) > maxMessages:
		m.lost++
	default:
		m.text = append(m.text, text...)
		m.change.Broadcast()
	}
	return len(p), nil
}

func (m *Messages) write() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		for len(m.text) == 0 && !m.closed {
			m.change.Wait()
		}
		if len(m.text) == 0 {
			return
		}
		text := m.text
		if m.lost > 0 {
			text = fmt.Appendf(text, "shoal: %s messages are left out here: they came faster than they are read\n", ui.Count(int64(m.lost)))
		}
		m.text, m.busy, m.lost = nil, true, 0
		m.mu.Unlock()
		_, _ = m.w.Write(text) // there is nowhere to report the error
		m.mu.Lock()
		m.busy = false
		m.change.Broadcast()
	}
}

// flush waits until everything is written.
func (m *Messages) flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.text) > 0 || m.busy {
		m.change.Wait()
	}
}

// FlushFor waits until everything is written, at most d.
func (m *Messages) FlushFor(d time.Duration) {
	done := make(chan struct{}) // closed by the goroutine below
	go func() {
		defer close(done)
		m.flush()
	}()
	select {
	case <-done:
	case <-time.After(d):
	}
}

// close ends the goroutine once everything is written.
func (m *Messages) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.change.Broadcast()
}
