package wire

import (
	"testing"
	"unsafe"
)

// A waiting connection holds these. The sizes are those of the allocator's classes: one
// byte more costs up to 64 for each connection.
func TestSizeOfWaiting(t *testing.T) {
	for name, c := range map[string]struct{ size, most uintptr }{
		"Client":   {unsafe.Sizeof(Client{}), 512},
		"gcmState": {unsafe.Sizeof(gcmState{}), 64},
	} {
		if c.size > c.most {
			t.Errorf("%s has %d bytes, more than %d", name, c.size, c.most)
		}
	}
}

// Equal identification lines are one string in memory, and the Client keeps the
// configuration that it got.
func TestWaitingShares(t *testing.T) {
	a, b := newScripted(t, Config{}), newScripted(t, Config{})
	for _, s := range []*scripted{a, b} {
		s.handshake()
	}
	va, vb := a.client.ServerVersion(), b.client.ServerVersion()
	if va != "SSH-2.0-Scripted" || unsafe.StringData(va) != unsafe.StringData(vb) {
		t.Errorf("the versions %q and %q are two strings", va, vb)
	}
	config := &Config{}
	if c := New(config); c.config != config {
		t.Error("the configuration was copied")
	}
}
