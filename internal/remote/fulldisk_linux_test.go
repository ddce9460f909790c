package remote

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestFullDisk uses a file system of a few pages. If the marker cannot be written, the
// start is refused and leaves nothing behind; an end is recorded all the same (attack 8).
func TestFullDisk(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		dir := filepath.Join(f.home, "disk")
		if err := mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16k,mode=0700"); err != nil {
			t.Skipf("mounting a small tmpfs: %v", err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
		m := f.marker()
		m.Dir = dir
		full := filepath.Join(dir, "full")
		fill := func() {
			file, err := os.Create(full)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = file.Close() }()
			for err == nil {
				_, err = file.Write(make([]byte, 512))
			}
		}
		ran := filepath.Join(f.home, "ran")
		fill()
		for _, detach := range []bool{true, false} {
			s := f.wrapped(t, Wrap{Nonce: nonce, Marker: m, Detach: detach}, "touch "+ran, "")
			word, ok := ParseRefusal(nonce, []byte(s.stderr))
			if !ok || word != RefusedMarker || s.stdout != "" || s.status != StatusNoMarker || exists(filepath.Join(dir, "run1-7")) {
				t.Errorf("detach %v: %v", detach, s)
			}
		}
		if err := os.Remove(full); err != nil {
			t.Fatal(err)
		}
		gate := filepath.Join(f.home, "gate")
		f.wrapped(t, Wrap{Nonce: nonce, Marker: m, Detach: true}, "while [ ! -e "+gate+" ]; do sleep 0.05; done; exit 5", "")
		fill()
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var r Report
		until(t, "the end", func() bool {
			question, err := m.Look(nonce)
			r = f.ask(t, question, err)
			return r.State != StateRunning
		})
		if r.State != StateEnded || r.Status != 5 || exists(ran) {
			t.Errorf("on a full disk: %+v, ran %v", r, exists(ran))
		}
	})
}
