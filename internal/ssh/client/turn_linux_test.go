package client

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"shoal/fleet"
	"shoal/internal/sshdtest"
)

// A host that sends as fast as it can is read up to 256 KiB, before other connections have their turn.
func TestTurnOfAFlood(t *testing.T) {
	t.Parallel()
	s := sshdtest.OpenSSH(t)
	const much = 1 << 20 // below a window and what would extend it
	var holds atomic.Bool
	held := make(chan []byte, 1) // of the one connection
	middle := startRelay(t, fleet.Target{Host: s.Host}.Address(), func(client, server *net.TCPConn) {
		var both sync.WaitGroup
		both.Go(func() {
			_, _ = io.Copy(server, client)
			_ = server.Close()
		})
		both.Go(func() {
			var kept bytes.Buffer
			buf := make([]byte, 32<<10)
			for kept.Len() < much {
				n, err := server.Read(buf)
				if err != nil {
					break
				}
				if holds.Load() {
					kept.Write(buf[:n])
				} else {
					_, _ = client.Write(buf[:n])
				}
			}
			held <- kept.Bytes()
		})
		both.Wait()
		_ = client.Close()
	})
	r := rigFor(s)
	r.host.Port = middle.port()
	d := r.newDialer(t)
	begin := filepath.Join(t.TempDir(), "begin")
	flood := r.begin(t.Context(), t, d, "until [ -e "+begin+" ]; do sleep 0.05; done; head -c 1500000 /dev/zero; sleep 3600")
	for flood.attempt.Timeline.Phase() != fleet.PhaseRun {
		time.Sleep(time.Millisecond)
	}
	holds.Store(true)
	if err := os.WriteFile(begin, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	waiting, err := os.CreateTemp(t.TempDir(), "waiting")
	if err == nil {
		_, err = waiting.Write((<-held)[:much])
	}
	if err == nil {
		_, err = waiting.Seek(0, io.SeekStart)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := onlyParked(d)
	p.whileIdle(func() { // a file in place of the socket: all of it is there at once
		socket := p.fd
		p.fd = int32(waiting.Fd())
		drained := p.work(make([]byte, loopBuffer))
		p.fd = socket
		at, err := unix.Seek(int(waiting.Fd()), 0, io.SeekCurrent)
		if drained || err != nil || at != 256<<10 || p.conn.session.end != nil {
			t.Errorf("%d bytes were read, %v; drained %v, ended %v", at, err, drained, p.conn.session.end)
		}
	})
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	<-flood.ended
	_ = waiting.Close()
}
