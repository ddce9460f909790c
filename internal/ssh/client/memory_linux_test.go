package client

import (
	"testing"
	"time"
	"unsafe"

	"shoal/internal/ssh"
	"shoal/internal/ssh/wire"
)

// A waiting connection holds one of each. The sizes are those of the allocator's
// classes: one byte more costs up to 32 for each connection.
func TestSizeOfWaiting(t *testing.T) {
	for name, c := range map[string]struct{ size, most uintptr }{
		"conn":         {unsafe.Sizeof(conn{}), 48},
		"link":         {unsafe.Sizeof(link{}), 32},
		"session":      {unsafe.Sizeof(session{}), 240},
		"loopConn":     {unsafe.Sizeof(loopConn{}), 80},
		"ssh.Attempt":  {unsafe.Sizeof(ssh.Attempt{}), 296},
		"ssh.Progress": {unsafe.Sizeof(ssh.Progress{}), 304},
	} {
		if c.size > c.most {
			t.Errorf("%s has %d bytes, more than %d", name, c.size, c.most)
		}
	}
}

// Equal configurations are one in memory; a list that is empty and one that is nil,
// which offers everything, are not equal.
func TestConfigurationsAreShared(t *testing.T) {
	d := new(Dialer)
	config := func() *wire.Config {
		return &wire.Config{Kex: []string{"a", "b"}, HostKeys: []string{"c"}, RekeyAfter: time.Hour}
	}
	first := d.shared(config())
	if d.shared(config()) != first {
		t.Error("equal configurations are not shared")
	}
	for name, change := range map[string]func(*wire.Config){
		"Kex":        func(c *wire.Config) { c.Kex = []string{"b", "a"} },
		"HostKeys":   func(c *wire.Config) { c.HostKeys = nil },
		"Ciphers":    func(c *wire.Config) { c.Ciphers = []string{} },
		"MACs":       func(c *wire.Config) { c.MACs = []string{"d"} },
		"EarlyKex":   func(c *wire.Config) { c.EarlyKex = true },
		"StepByStep": func(c *wire.Config) { c.StepByStep = true },
		"Window":     func(c *wire.Config) { c.Window = 1 },
		"RekeyBytes": func(c *wire.Config) { c.RekeyBytes = 1 },
		"RekeyAfter": func(c *wire.Config) { c.RekeyAfter = time.Minute },
	} {
		c := config()
		change(c)
		if d.shared(c) != c {
			t.Errorf("another %s: the configuration of another connection was used", name)
		}
	}
}

// Each connection is scheduled at its deadline, however they are set and removed, and a
// deadline that moves to a later time is not lost.
func TestDeadlines(t *testing.T) {
	// The timer does nothing: this test takes what is due itself.
	d := &deadlines{began: time.Now(), timer: time.AfterFunc(time.Hour, func() {}), quiet: quiet{fd: -1}}
	at := func(seconds int) time.Time { return d.began.Add(time.Duration(seconds) * time.Second) }
	conns := make([]loopConn, 100)
	for i := range conns {
		d.set(&conns[i], at(3600+i*37%100), false)
	}
	d.set(&conns[7], at(-1), false) // earlier
	d.set(&conns[8], at(9999), false)
	d.set(&conns[9], time.Time{}, false)
	for _, i := range []int{10, 20, 30} {
		d.remove(&conns[i])
		d.remove(&conns[i])
	}
	if due, _ := d.takeDue(); len(due) != 1 || due[0] != &conns[7] || conns[7].place != 0 {
		t.Errorf("%d are due, want the one whose deadline has passed", len(due))
	}
	d.began = d.began.Add(-2 * time.Hour)
	due, _ := d.takeDue()
	d.stop()
	if len(due) != len(conns)-4 || len(d.conns) != 0 {
		t.Fatalf("%d are due and %d left, want all", len(due), len(d.conns))
	}
	for i := range due[1:] {
		if due[i].due > due[i+1].due {
			t.Errorf("number %d is due at %v, the next at %v", i, due[i].due, due[i+1].due)
		}
	}
}
