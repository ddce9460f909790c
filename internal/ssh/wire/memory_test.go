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

// Data is sent from memory that is lent, and comes back when all of it was sent.
func TestLend(t *testing.T) {
	s := newScripted(t, Config{})
	s.secure(direction{cipher: gcm128})
	s.client.AuthPassword("u", nil)
	ch := s.client.OpenSession()
	s.send(serviceAccept(), []byte{msgUserAuthSuccess}, confirm(ch, 0, 1<<31))
	s.deliver()
	s.client.Sent(len(s.client.Output()))
	lent, data := make([]byte, 200<<10), make([]byte, 128<<10)
	n := testing.AllocsPerRun(10, func() {
		s.client.Lend(lent)
		if n := s.client.Send(ch, data); n != len(data) {
			t.Errorf("%d bytes were sent", n)
		}
		out := s.client.Output()
		if &out[0] != &lent[0] {
			t.Error("the output is in other memory")
		}
		s.client.Sent(len(out) - 1)
		if s.client.Lend(nil); s.client.Reclaim() != nil {
			t.Error("memory is given back while it is in use")
		}
		s.client.Sent(1)
		if b := s.client.Reclaim(); cap(b) != cap(lent) || cap(s.client.Output()) > 0 {
			t.Errorf("%d bytes of memory came back, and %d are kept", cap(b), cap(s.client.Output()))
		}
	})
	if n > 10 {
		t.Errorf("%v allocations for %d packets", n, len(data)/MaxData)
	}
}

// A Client that has sent what it had holds no memory for its output until it is let in. After
// that, and if the driver takes it, the memory is its own.
func TestMemoryIsLent(t *testing.T) {
	memory := new(Memory)
	a := New(&Config{EarlyKex: true, Memory: memory})
	for rest := len(a.Output()); rest > 0; rest-- {
		if a.out.buf == nil {
			t.Fatalf("no memory with %d bytes to be sent", rest)
		}
		a.Sent(1)
	}
	if a.out.buf != nil || a.auth.lent != nil {
		t.Error("memory is held by a client that waits")
	}

	s := newScripted(t, Config{Memory: memory})
	s.secure(direction{cipher: gcm128})
	s.client.AuthPassword("u", nil)
	if s.client.auth.lent == nil {
		t.Error("memory is not borrowed for the password")
	}
	ch := s.client.OpenSession()
	s.send(serviceAccept(), []byte{msgUserAuthSuccess}, confirm(ch, 0, 1<<31))
	s.deliver()
	s.client.Sent(len(s.client.Output()))
	if s.client.Send(ch, []byte("input")); s.client.auth != nil || len(s.client.Output()) == 0 {
		t.Error("nothing is sent after authentication")
	}

	c := New(&Config{Memory: memory})
	if c.Take(nil); c.auth.lent != nil {
		t.Error("memory that the driver has taken is still to be given back")
	}
}

// A driver that sends what Window says holds little, however small the messages are that a server
// asks for: 128 KiB of input would be 131,072 packets, 18 MiB, for a server that takes a byte each.
func TestOutputForAServerOfSmallMessages(t *testing.T) {
	for _, maxData := range []uint32{1, 16, 512, 32 << 10} {
		s := newScripted(t, Config{})
		s.login()
		ch := s.client.OpenSession()
		s.pump()
		p := appendUint32(about(msgChannelOpenConfirm, ch), 7)
		s.send(appendUint32(appendUint32(p, 1<<30), maxData))
		s.deliver()
		input := make([]byte, 128<<10)
		for left := input; len(left) > 0; {
			part := left[:min(len(left), int(s.client.Window(ch)))]
			if n := s.client.Send(ch, part); n == 0 || n != len(part) {
				t.Fatalf("messages of %d: %d of %d bytes were sent", maxData, n, len(part))
			}
			if n := cap(s.client.Output()); n > 256<<10 {
				t.Fatalf("messages of %d: the output takes %d bytes", maxData, n)
			}
			left = left[len(part):]
			s.client.Sent(len(s.client.Output()))
			if maxData == 1 && len(left) < len(input)-4<<10 {
				break
			}
		}
	}
}
