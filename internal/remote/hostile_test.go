package remote

import (
	"os"
	"path/filepath"
	"testing"
)

// TestUnsafeDirectory plants what other users could plant in place of the run directory or
// the marker. No link is followed, and nothing runs.
func TestUnsafeDirectory(t *testing.T) {
	for i, c := range []struct {
		name    string
		plant   func(dir string) error
		refusal Refusal
		state   State
	}{
		{"file", func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, RefusedDirectory, StateUnclear},
		{"symlink", func(dir string) error { return os.Symlink(filepath.Dir(dir), dir) }, RefusedDirectory, StateUnclear},
		{"dangling symlink", func(dir string) error { return os.Symlink("nowhere", dir) }, RefusedDirectory, StateUnclear},
		{"open to others", func(dir string) error { return mkdir(dir, 0o777) }, RefusedDirectory, StateUnclear},
		{"readable", func(dir string) error { return mkdir(dir, 0o755) }, RefusedDirectory, StateUnclear},
		{"foreign", func(dir string) error {
			if err := mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.Chown(dir, 12345, 12345)
		}, RefusedDirectory, StateUnclear},
		{"no such parent", func(dir string) error { return os.WriteFile(filepath.Dir(dir), nil, 0o600) }, RefusedDirectory, StateUnclear},
		{"marker is a file", func(dir string) error {
			if err := mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "run1-7"), nil, 0o600)
		}, RefusedAgain, StateUnclear},
		{"marker is a symlink", func(dir string) error {
			if err := mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.Symlink("nowhere", filepath.Join(dir, "run1-7"))
		}, RefusedAgain, StateUnclear},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, program := range []string{shellNames()[i%6], shellNames()[(i+3)%6]} {
				f := newFar(t, program)
				parent := filepath.Join(f.home, "tmp")
				m := f.marker()
				m.Dir = filepath.Join(parent, "shoal")
				if c.name != "no such parent" {
					if err := mkdir(parent, 0o1777); err != nil {
						t.Fatal(err)
					}
				}
				if err := c.plant(m.Dir); err != nil {
					t.Fatal(err)
				}
				s := f.wrapped(t, Wrap{Nonce: nonce, Marker: m}, "echo ran", "")
				refusal, ok := ParseRefusal(nonce, []byte(s.stderr))
				if refusal != c.refusal || !ok || s.stdout != "" {
					t.Errorf("%v", s)
				}
				question, err := m.Settle(nonce)
				if r := f.ask(t, question, err); r.State != c.state {
					t.Errorf("settled as %s", r.State)
				}
			}
		})
	}
}

// mkdir creates a directory with exactly this mode, whatever the umask.
func mkdir(dir string, mode os.FileMode) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if mode == 0o1777 {
		mode = 0o777 | os.ModeSticky
	}
	return os.Chmod(dir, mode)
}

func TestNoHome(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.noHome = true
		s := f.wrapped(t, f.once(), "echo ran", "")
		if refusal, ok := ParseRefusal(nonce, []byte(s.stderr)); refusal != RefusedHome || !ok || s.stdout != "" || s.status != StatusNoMarker {
			t.Errorf("%v", s)
		}
		if r := f.settle(t); r.State != StateUnclear {
			t.Errorf("settled as %s", r.State)
		}
	})
}

// TestUnwritableHome uses a home directory in which even root cannot write.
func TestUnwritableHome(t *testing.T) {
	everyShell(t, func(t *testing.T, f *far) {
		f.home = "/proc/self"
		s := f.wrapped(t, f.once(), "echo ran", "")
		if refusal, ok := ParseRefusal(nonce, []byte(s.stderr)); refusal != RefusedDirectory || !ok || s.stdout != "" || s.status != StatusNoMarker {
			t.Errorf("%v", s)
		}
	})
}
