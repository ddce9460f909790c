package client

import (
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"io"
	"os"
	"path/filepath"
	"testing"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/sshdtest"
)

// Keys are exchanged each MiB, initiated by the server or by us, over 64 MiB of
// output, which arrives complete.
func TestRekey(t *testing.T) {
	t.Parallel()
	const size, each = 64 << 20, 1 << 20
	path := filepath.Join(t.TempDir(), "bytes")
	want := randomFile(t, path, size)
	plain, theirs := sshdtest.OpenSSH(t), sshdtest.OpenSSH(t, sshdtest.WithRekeyLimit(each))
	for name, c := range map[string]struct {
		server *sshdtest.Server
		park   Park
		ours   uint64
	}{
		"theirs, loop":      {theirs, ParkBest, 0},
		"theirs, goroutine": {theirs, ParkGoroutine, 0},
		"ours, loop":        {plain, ParkBest, each},
		"ours, goroutine":   {plain, ParkGoroutine, each},
	} {
		t.Run(name, func(t *testing.T) {
			r := rigFor(c.server)
			r.Park, r.settings = c.park, &ssh.Settings{RekeyBytes: c.ours}
			d := r.newDialer(t)
			got := sha256.New()
			a := &ssh.Attempt{Progress: new(ssh.Progress), Target: r.target("cat " + path + "; exit 3"), Stdout: got, Stderr: io.Discard}
			end := attemptWith(t, d, a)
			if end.Outcome != fleet.OutcomeFailed || end.Status != 3 || end.Flags != fleet.FlagExitKnown {
				t.Errorf("ended %v(%s) with status %d: %v", end.Outcome, end.Reason, end.Status, end.Err)
			}
			if string(got.Sum(nil)) != string(want.Sum(nil)) {
				t.Error("the output is not what was sent")
			}
			// Data in flight when an exchange begins adds to each MiB.
			if n := r.sent("NEWKEYS"); n < size/each/2 {
				t.Errorf("keys were exchanged %d times, want some %d", n, size/each)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// randomFile writes a file and returns its hash.
func randomFile(t *testing.T, path string, size int64) hash.Hash {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, sum), rand.Reader, size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return sum
}
