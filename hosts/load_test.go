package hosts_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/fleet"
	"shoal/hosts"
)

// write puts a host file into a directory of its own.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// namesOf returns the list's hosts as people write them.
func namesOf(l *hosts.List) []string {
	var names []string
	for h := range l.Hosts() {
		names = append(names, h.String())
	}
	return names
}

func load(t *testing.T, opts hosts.Options) *hosts.List {
	t.Helper()
	l, err := hosts.Load(opts)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return l
}

// problems loads what must fail.
func problems(t *testing.T, opts hosts.Options) *hosts.Problems {
	t.Helper()
	l, err := hosts.Load(opts)
	var p *hosts.Problems
	if !errors.As(err, &p) || l != nil {
		t.Fatalf("Load gave %v, %v; want Problems", l, err)
	}
	return p
}

func TestLoadOrder(t *testing.T) {
	file := write(t, "c1\nc[2-3]\n")
	l := load(t, hosts.Options{
		Hosts: []string{"b2,b1", "^" + file, "-"},
		Stdin: strings.NewReader("z\ny\n"),
	})
	if diff := cmp.Diff([]string{"b2", "b1", "c1", "c2", "c3", "z", "y"}, namesOf(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l = load(t, hosts.Options{Files: []string{write(t, "d1\nb1\n"), file, write(t, "b1\n")}, ConfigHosts: []string{"e"}})
	if diff := cmp.Diff([]string{"d1", "b1", "c1", "c2", "c3", "e"}, namesOf(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1 duplicate removed: b1"}, l.Notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
}

func TestHostsAreParsed(t *testing.T) {
	l := load(t, hosts.Options{Hosts: []string{"root@n[1-2]:2222,[::1]:22,fe80::1%eth0"}})
	want := []fleet.Host{
		{Name: "n1", User: "root", Port: 2222},
		{Name: "n2", User: "root", Port: 2222},
		{Name: "::1", Port: 22},
		{Name: "fe80::1%eth0"},
	}
	if diff := cmp.Diff(want, slices.Collect(l.Hosts())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// endless never ends and never ends a line.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestEndlessSource(t *testing.T) {
	p := problems(t, hosts.Options{Files: []string{"-"}, Stdin: endless{}})
	if p.Total != 1 || p.List[0].Reason != "more than 1073741824 bytes" {
		t.Error(p)
	}
}

// broken fails after some good lines.
type broken struct{ text *strings.Reader }

var errBroken = errors.New("input/output error")

func (b broken) Read(p []byte) (int, error) {
	if b.text.Len() == 0 {
		return 0, errBroken
	}
	return b.text.Read(p)
}

func TestReadError(t *testing.T) {
	p := problems(t, hosts.Options{Files: []string{"-"}, Stdin: broken{strings.NewReader("a\nb")}})
	if p.Total != 1 || p.List[0].String() != "stdin: it cannot be read: input/output error" || p.List[0].Hint == "" {
		t.Error(p)
	}
}
