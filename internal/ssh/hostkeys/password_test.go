package hostkeys_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/fleet"
	"shoal/internal/ssh/hostkeys"
)

// The password is allowed if the host's key or its authority is known, or if its key has been
// written before (faults.md A08).
func TestAllowPassword(t *testing.T) {
	t.Parallel()
	authority := edSigner(100)
	certified := certify(t, edKey(1), authority)
	for name, c := range map[string]struct {
		policy hostkeys.Policy
		known  string // known_hosts
		cert   bool   // a certificate is presented
		text   string // expected in the error; "": the password is allowed
		after  string // known_hosts afterwards; "": unchanged
	}{
		"known":                 {known: line("h", edKey(1))},
		"known, accept-new":     {policy: hostkeys.AcceptNew, known: line("h", edKey(1))},
		"certified":             {known: "@cert-authority " + line("h", authority.PublicKey()), cert: true},
		"certified, accept-new": {policy: hostkeys.AcceptNew, known: "@cert-authority " + line("h", authority.PublicKey()), cert: true},
		"new, accept-new":       {policy: hostkeys.AcceptNew, known: line("g", edKey(2)), after: line("g", edKey(2)) + line("h", edKey(1))},
		"new, certified by another, accept-new": {
			policy: hostkeys.AcceptNew, known: line("g", edKey(2)), cert: true, after: line("g", edKey(2)) + line("h", edKey(1)),
		},
		"new, insecure":     {policy: hostkeys.Insecure, known: line("g", edKey(2)), text: "insecure"},
		"known, insecure":   {policy: hostkeys.Insecure, known: line("h", edKey(1)), text: "insecure"},
		"changed, insecure": {policy: hostkeys.Insecure, known: line("h", edKey(2)), text: "insecure"},
		// Check refuses these already.
		"new":     {known: line("g", edKey(2)), text: "no key is known"},
		"changed": {known: line("h", edKey(2)), text: "either its key was replaced"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := file(t, c.known)
			s := openAtNoon(t, hostkeys.Options{Files: []string{path}, Policy: c.policy})
			key := edKey(1)
			if c.cert {
				key = certified
			}
			_ = s.Check(target("h", 22), nil, key)
			for range 2 {
				err := s.AllowPassword(context.Background(), target("h", 22), key)
				if (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
					t.Errorf("%v, want %q", err, c.text)
				}
			}
			if c.after == "" {
				c.after = c.known
			}
			if got := readFile(t, path); got != c.after {
				t.Errorf("file:\n%swant:\n%s", got, c.after)
			}
		})
	}
}

// If the key of a new host is not stored, anybody could obtain the password next.
// faults.md: A08
func TestNoPasswordForAKeyThatIsNotKept(t *testing.T) {
	t.Parallel()
	s := open(t, hostkeys.AcceptNew, "/dev/null")
	to, key := target("h", 22), edKey(1)
	if err := s.Check(to, nil, key); err != nil {
		t.Fatal(err)
	}
	if err := s.AllowPassword(context.Background(), to, key); err == nil || !strings.Contains(err.Error(), "was not kept") {
		t.Errorf("/dev/null: %v", err)
	}

	directory := t.TempDir()
	s = open(t, hostkeys.AcceptNew, filepath.Join(directory, "known_hosts"))
	if err := s.Check(to, nil, key); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(directory, "known_hosts"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := reason(t, s.AllowPassword(context.Background(), to, key)); got != fleet.ReasonStoreFailed {
		t.Errorf("a file that cannot be written: %v", got)
	}

	// Another process learned another key meanwhile.
	path := filepath.Join(t.TempDir(), "known_hosts")
	s = open(t, hostkeys.AcceptNew, path)
	if err := s.Check(to, nil, key); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(line("h", edKey(2))), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := reason(t, s.AllowPassword(context.Background(), to, key)); got != fleet.ReasonHostkeyChanged {
		t.Errorf("another process learned another key: %v", got)
	}
}
