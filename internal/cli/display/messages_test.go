package display

import (
	"strings"
	"sync"
	"testing"
)

// A gate is a writer whose first write waits.
type gate struct {
	entered, open chan struct{} // closed by the first Write, and by the test
	once          sync.Once

	mu   sync.Mutex
	text strings.Builder
}

func (g *gate) Write(p []byte) (int, error) {
	g.once.Do(func() {
		close(g.entered)
		<-g.open
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(p)
}

// Messages that come faster than they are read are counted where they are missing.
func TestMessagesLeftOut(t *testing.T) {
	g := &gate{entered: make(chan struct{}), open: make(chan struct{})}
	m := newMessages(g, func() int { return 0 })
	_, _ = m.Write([]byte("first\n"))
	<-g.entered
	long := strings.Repeat("x", maxMessages/4-1) + "\n"
	for range 6 {
		_, _ = m.Write([]byte(long))
	}
	close(g.open)
	m.flush()
	_, _ = m.Write([]byte("last\n"))
	m.flush()
	m.close()
	want := "first\n" + strings.Repeat(long, 4) +
		"shoal: 2 messages are left out here: they came faster than they are read\nlast\n"
	if got := g.text.String(); got != want {
		t.Errorf("%d bytes, want %d; the end is %q", len(got), len(want), got[max(0, len(got)-200):])
	}
}
