package hostkeys

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// filedStore opens known_hosts as if it were large.
func filedStore(t *testing.T, path string) *Store {
	t.Helper()
	from := newFiles()
	from.keep = 0
	s, err := openFrom(Options{Files: []string{path}}, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func keyOf(t *testing.T, n uint64) ssh.PublicKey {
	t.Helper()
	key, err := ssh.NewPublicKey(newEd25519(rand.New(rand.NewPCG(n, n))))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func statusOf(t *testing.T, s *Store, host string, key ssh.PublicKey) Status {
	t.Helper()
	j, err := s.Judge(fleet.Target{Host: fleet.Host{Name: host}, Port: 22}, key)
	if err != nil {
		t.Fatal(err)
	}
	return j.Status
}

// Lines that are read again from the file decide as those in memory do, among lines with
// markers, patterns and hashed names, whatever its size.
func TestFiledLines(t *testing.T) {
	t.Parallel()
	const hosts = 3000
	keys := make([]ssh.PublicKey, 4)
	for i := range keys {
		keys[i] = keyOf(t, uint64(i))
	}
	var text strings.Builder
	text.WriteString("# a comment\n\nnot a line\n")
	for i := range hosts {
		text.WriteString(lineOf(fmt.Sprintf("Node%d,node%d,10.0.%d.%d", i, i, i/250, i%250), keys[i%2]))
	}
	long := strings.Repeat("x", 200)
	text.WriteString(lineOf("node7", keys[2]) + lineOf("@revoked node8", keys[0]) + lineOf("*.example", keys[2]) +
		lineOf(hide("hidden").String(), keys[2]) + lineOf(strings.Repeat(long+",", 5)+"many", keys[3]) +
		strings.TrimSuffix(lineOf("last", keys[3]), "\n"))
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	memory, err := Open(Options{Files: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	filed := filedStore(t, path)
	if got := len(filed.Problems()); got != 1 || len(memory.Problems()) != got {
		t.Errorf("%d problems, in memory %d, want 1", got, len(memory.Problems()))
	}
	seen := make(map[Status]int)
	for _, host := range []string{"node0", "node1", "node2999", "node3000", "10.0.11.249", "NODE5", "node7", "node8", "a.example", "hidden", long, "many", "last", "none"} {
		for _, key := range keys {
			got, want := statusOf(t, filed, host, key), statusOf(t, memory, host, key)
			if got != want {
				t.Errorf("%.20s: %v, in memory %v", host, got, want)
			}
			seen[got]++
		}
	}
	if seen[StatusKnown] < 10 || seen[StatusChanged] < 10 || seen[StatusUnknown] < 4 || seen[StatusRevoked] != 1 {
		t.Errorf("statuses %v: the test is hollow", seen)
	}
	known, err := filed.Known(fleet.Target{Host: fleet.Host{Name: "node7"}})
	if err != nil || len(known) != 2 || known[0].Where != path+":11" || known[1].Where != path+":3004" {
		t.Errorf("node7 is known as %v, %v", known, err)
	}
}

// A file that is replaced while it is used stays what it was. One that is changed in place
// refuses every key whose line has moved, and says so.
// faults.md: K16
func TestFiledLinesOfAFileThatChanges(t *testing.T) {
	t.Parallel()
	key := keyOf(t, 1)
	before := lineOf("a", key) + lineOf("b", key) + lineOf("c", key)
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	replaced := filedStore(t, path)
	if err := os.WriteFile(path+".new", []byte(lineOf("other", key)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"a", "b", "c"} {
		if got := statusOf(t, replaced, host, key); got != StatusKnown {
			t.Errorf("%s is %v after the file was replaced", host, got)
		}
	}
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := filedStore(t, path)
	if err := os.WriteFile(path, []byte(lineOf("a", key)+lineOf("bb", key)), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string]fleet.Reason{"a": "", "b": fleet.ReasonHostkeyFailed, "c": fleet.ReasonHostkeyFailed, "d": fleet.ReasonHostkeyUnknown}
	for host, reason := range want {
		err := changed.Check(fleet.Target{Host: fleet.Host{Name: host}, Port: 22}, nil, key)
		got := fleet.ReasonNone
		if e, ok := err.(*fleet.Error); ok { //nolint:errorlint // of exactly this type
			got = e.Reason
		}
		if got != reason {
			t.Errorf("%s: %q, want %q: %v", host, got, reason, err)
		}
		if reason == fleet.ReasonHostkeyFailed && !strings.Contains(err.Error(), "cannot be read again") {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// BenchmarkHeldFiled measures the heap for each line of a large file.
func BenchmarkHeldFiled(b *testing.B) {
	key := benchKey(b, newEd25519(rand.New(rand.NewPCG(1, 1))))
	path := benchFile(b, key, inTheOpen)
	from := newFiles()
	from.keep = 0
	source, err := from.source(path)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = from.close() }()
	x := source.index.filed
	b.ReportMetric(float64(16*cap(x.lines)+8*cap(x.slots))/benchHosts, "B/host")
	name := benchHost(4711)
	b.ReportAllocs()
	for b.Loop() {
		if len(x.lookup(name)) != 1 {
			b.Fatal("not found")
		}
	}
}
