package display

import (
	"io"
	"sync"
	"time"
)

// maxMessages bounds the text that waits to be written, in bytes. What comes
// beyond is dropped: a reader who takes nothing must not fill the memory.
const maxMessages = 1 << 20

// Messages writes text for people on a goroutine of its own, so that nobody who
// has something to say waits for a terminal or a pipe that takes nothing: a
// signal must be obeyed all the same. It implements io.Writer.
type Messages struct {
	w io.Writer

	mu     sync.Mutex
	change *sync.Cond // of what follows
	text   []byte     // not yet given to w
	busy   bool       // w is writing
	closed bool
}

func newMessages(w io.Writer) *Messages {
	m := &Messages{w: w}
	m.change = sync.NewCond(&m.mu)
	go m.write() // ends with close; one that hangs in w ends with the process
	return m
}

// Write queues p. It never waits and never fails.
func (m *Messages) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.text)+len(p) <= maxMessages {
		m.text = append(m.text, p...)
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
		m.text, m.busy = nil, true
		m.mu.Unlock()
		_, _ = m.w.Write(text) // nowhere is left to report that it fails
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

// FlushFor waits at most d.
func (m *Messages) FlushFor(d time.Duration) {
	done := make(chan struct{}) // closed by the goroutine
	go func() {
		defer close(done)
		m.flush()
	}()
	select {
	case <-done:
	case <-time.After(d):
	}
}

// Close has the goroutine end once everything is written.
func (m *Messages) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.change.Broadcast()
}
