package wire

import (
	"runtime"
	"testing"
)

// waiting returns a connection whose command runs, after a whole handshake.
func waiting(b testing.TB, config Config) *Client {
	s := newScripted(b, config)
	s.login()
	s.running()
	s.client.Shrink()
	return s.client
}

// BenchmarkWaitingClient tells the bytes that a connection holds while it waits
// for the end of a command, over 10,000 of them.
func BenchmarkWaitingClient(b *testing.B) {
	const n = 10000
	for _, cipher := range Ciphers() {
		b.Run(cipher, func(b *testing.B) {
			for b.Loop() {
				clients := make([]*Client, n)
				before := held()
				for i := range clients {
					clients[i] = waiting(b, Config{Ciphers: []string{cipher}})
				}
				b.ReportMetric(float64(held()-before)/n, "bytes/client")
				runtime.KeepAlive(clients)
			}
		})
	}
}

func held() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkConnection is the client's and the scripted server's work of one
// connection: the server's is about as much.
func BenchmarkConnection(b *testing.B) {
	for _, kex := range []string{kexCurve25519, kexP256} {
		b.Run(kex, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				waiting(b, Config{Kex: []string{kex}})
			}
		})
	}
}

// BenchmarkCommand is a client's work from the end of the key exchange to the
// end of a command.
func BenchmarkCommand(b *testing.B) {
	d := direction{cipher: gcm128}
	s := newScripted(b, Config{})
	s.secure(d)
	for _, p := range [][]byte{
		serviceAccept(),
		{msgUserAuthSuccess},
		confirm(0, 0, 1<<20), about(msgChannelSuccess, 0), data(0, "ok\n"),
		exitStatus(0, 3), about(msgChannelEOF, 0), about(msgChannelClose, 0),
	} {
		s.send(p)
	}
	stream := s.out.buf
	buf := make([]byte, len(stream))
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		s := newScripted(b, Config{})
		s.secure(d)
		c := s.client
		b.StartTimer()
		c.AuthPassword("u", []byte("secret"))
		c.Exec(c.OpenSession(), "true")
		c.SendEOF(0)
		c.Sent(len(c.Output()))
		copy(buf, stream)
		c.Receive(buf)
		for ev, err := c.Next(); ev != nil; ev, err = c.Next() {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkBulk is output through Receive and Next, read 64 KiB at a time, with
// the window's accounting. The server's work is not in it.
func BenchmarkBulk(b *testing.B) {
	const read, total = 64 << 10, 32 << 20
	for _, cipher := range Ciphers() {
		b.Run(cipher, func(b *testing.B) {
			d := direction{cipher: cipher}
			if !authenticates(cipher) {
				d.mac = hmac256ETM
			}
			server := newScripted(b, Config{})
			server.secure(d)
			server.send(serviceAccept(), []byte{msgUserAuthSuccess}, confirm(0, 0, 1<<20))
			head := server.out.buf
			server.out.buf = nil
			chunk := data(0, string(make([]byte, MaxData)))
			for range total / MaxData {
				server.send(chunk)
			}
			stream, buf := server.out.buf, make([]byte, read)
			b.SetBytes(total)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				s := newScripted(b, Config{})
				s.secure(d)
				s.client.AuthPassword("u", nil)
				s.client.OpenSession()
				s.feed(head)
				c := s.client
				b.StartTimer()
				got := 0
				for p := stream; len(p) > 0; {
					n := copy(buf, p)
					p = p[n:]
					c.Receive(buf[:n])
					got += consume(b, c)
					c.Sent(len(c.Output()))
				}
				if got != total {
					b.Fatalf("%d bytes came out", got)
				}
			}
		})
	}
}

func consume(b *testing.B, c *Client) (n int) {
	for {
		ev, err := c.Next()
		if err != nil {
			b.Fatal(err)
		}
		if ev == nil {
			return n
		}
		if d, ok := ev.(Data); ok {
			n += len(d.Bytes)
			c.Consumed(d.Channel, len(d.Bytes))
		}
	}
}

// BenchmarkSend is input, 64 KiB at a time.
func BenchmarkSend(b *testing.B) {
	s := newScripted(b, Config{})
	s.secure(direction{cipher: gcm128})
	s.client.AuthPassword("u", nil)
	ch := s.client.OpenSession()
	s.send(serviceAccept(), []byte{msgUserAuthSuccess}, confirm(ch, 0, 1<<31))
	s.deliver()
	p := make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		s.client.out.bytes = 0
		s.client.mux.find(ch).sendLeft = 1 << 31
		if n := s.client.Send(ch, p); n != len(p) {
			b.Fatal(n)
		}
		s.client.Sent(len(s.client.Output()))
	}
}
