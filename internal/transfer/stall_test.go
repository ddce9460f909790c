package transfer

import (
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// A host that takes no byte for the whole time is given up; one that takes a few goes on, as one
// does whose bytes have to wait for the bandwidth.
// faults.md: S24
func TestStall(t *testing.T) {
	t.Parallel()
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, strings.Repeat("f", 100_000), 0o644)
	p := read(t, PushOptions{Checksum: "never", Stall: time.Minute}, src)
	slow := read(t, PushOptions{Checksum: "never", Stall: time.Minute, Bandwidth: 1}, src)
	synctest.Test(t, func(t *testing.T) {
		var woken atomic.Int32
		x := p.exchange(nonce, ssh.Target{}, nil)
		defer x.end()
		x.Notify(func() { woken.Add(1) })
		buf, at := make([]byte, 1000), int64(0)
		for range 10 {
			n, err := x.Next(buf, at)
			if at += int64(n); n != len(buf) || err != nil {
				t.Fatalf("%d bytes, %v", n, err)
			}
			time.Sleep(50 * time.Second)
		}
		if n, err := x.Next(nil, at); n != 0 || err != nil || woken.Load() != 0 {
			t.Fatalf("it stalls while bytes are taken: %v, woken %d times", err, woken.Load())
		}
		time.Sleep(3 * time.Minute)
		if _, err := x.Next(buf, at); !errors.Is(err, errStalled) || woken.Load() == 0 {
			t.Errorf("%v, woken %d times", err, woken.Load())
		}
		var err error
		y := slow.exchange(nonce, ssh.Target{}, nil)
		defer y.end()
		y.Notify(func() {})
		sent := int64(0)
		for range 4 {
			for more := 1; more > 0; sent += int64(more) { // as a client does, until there is nothing
				if more, err = y.Next(buf, sent); err != nil {
					t.Fatalf("who waits for the bandwidth stalls: %v", err)
				}
			}
			time.Sleep(time.Hour)
		}
		if sent == 0 {
			t.Error("nothing was sent")
		}
	})
}

// Hosts behind one jump host share its rate, and all that of the run.
func TestBuckets(t *testing.T) {
	t.Parallel()
	behind := func(jumps ...string) ssh.Target {
		var jump *ssh.Target
		for _, name := range jumps {
			jump = &ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: name}}, Endpoint: &ssh.Endpoint{Jump: jump}}
		}
		return ssh.Target{Endpoint: &ssh.Endpoint{Jump: jump}}
	}
	p := &Push{Manifest: &Manifest{}, Options: PushOptions{Bandwidth: 10, BandwidthPerJump: 5}}
	a, b, both, none := p.buckets(behind("a")), p.buckets(behind("b")), p.buckets(behind("a", "b")), p.buckets(behind())
	if len(a) != 2 || len(b) != 2 || len(both) != 3 || len(none) != 1 || a[0] == b[0] || both[0] != b[0] || both[1] != a[0] || a[1] != none[0] || a[1] != both[2] {
		t.Errorf("%v %v %v %v", a, b, both, none)
	}
	if list := (&Push{Manifest: &Manifest{}, Options: PushOptions{BandwidthPerJump: 5}}).buckets(behind()); len(list) != 0 {
		t.Errorf("%v without a jump host", list)
	}
}

// What a journal keeps of a push comes back whole, and what it would lose is refused.
func TestRecorded(t *testing.T) {
	t.Parallel()
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, "f", 0o644)
	o := PushOptions{Mode: "600", Diff: true, CopyLinks: true, Via: "sftp", Bandwidth: 5, Stall: time.Hour}
	text := read(t, o, src).Recorded()
	if r, err := ParseRecorded(text); err != nil || r.Options != o || r.Sources[0] != src {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := ParseRecorded(strings.Replace(text, `"mode"`, `"later"`, 1)); err == nil {
		t.Error("an option of a later program is lost")
	}
}

// A server that takes all and answers nothing has stalled too.
func TestStallWithoutAnswer(t *testing.T) {
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, "f", 0o644)
	p := read(t, PushOptions{Via: ViaSFTP, Stall: time.Minute}, src)
	synctest.Test(t, func(t *testing.T) {
		s := newSFTPPush(p, nonce, ssh.Target{Target: fleet.Target{Command: "/tmp/f"}}, nil)
		defer s.end()
		s.Notify(func() {})
		buf, at := make([]byte, 1<<10), int64(0)
		take := func() error {
			for {
				n, err := s.Next(buf, at)
				if at += int64(n); n == 0 {
					return err
				}
			}
		}
		if err := take(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		_, _ = s.Write(version3)
		for range 3 { // an answer counts, and then silence
			if err := take(); err != nil {
				t.Fatalf("after an answer: %v", err)
			}
			time.Sleep(30 * time.Second)
		}
		time.Sleep(time.Minute)
		if err := take(); !errors.Is(err, errStalled) {
			t.Errorf("without an answer: %v", err)
		}
	})
}
