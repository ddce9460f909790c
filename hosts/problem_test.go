package hosts_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/hosts"
)

func TestAllProblemsAtOnce(t *testing.T) {
	file := write(t, "good\nbad one\nb[ad\n\nalso/bad\n")
	missing := filepath.Join(t.TempDir(), "missing")
	p := problems(t, hosts.Options{
		Hosts:   []string{"a b", "ok[1-2]", "^", "a\nb", ""},
		Exclude: []string{"x!"},
		Files:   []string{file, missing, t.TempDir(), "-"},
	})
	var got []string
	for _, problem := range p.List {
		got = append(got, strings.ReplaceAll(problem.String(), file, "FILE"))
	}
	want := []string{
		`-x: "x!": position 3: no name beside the operator '!'`,
		`-w: "a b": position 3: blank inside a name`,
		`no file name`,
		`-w: "a\nb": position 2: line break`,
		`-w: position 1: empty expression`,
		`FILE:2: "bad one": position 5: blank inside a name`,
		`FILE:3: "b[ad": position 2: bracket is not closed`,
		`FILE:5: "also/bad": character '/' in a host name`,
		missing + `: it cannot be read: no such file or directory`,
		p.List[9].Source + `: it cannot be read: is a directory`,
		`stdin: there is no standard input to read`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProblemsText(t *testing.T) {
	p := problems(t, hosts.Options{Hosts: []string{"a/b"}})
	want := "-w: \"a/b\": character '/' in a host name\nhint: a host name has letters, digits, '.', '-' and '_'"
	if p.Error() != want {
		t.Errorf("got  %q\nwant %q", p.Error(), want)
	}

	path := write(t, strings.Repeat("a/b\n", 2000)+"-c\n")
	p = problems(t, hosts.Options{Files: []string{path}})
	if p.Total != 2001 || len(p.List) != 1000 {
		t.Fatalf("%d problems, %d kept", p.Total, len(p.List))
	}
	lines := strings.Split(p.Error(), "\n")
	if lines[0] != "2001 entries cannot be used" ||
		lines[1] != "  "+path+`:1: "a/b": character '/' in a host name` ||
		lines[2] != "    hint: a host name has letters, digits, '.', '-' and '_'" ||
		lines[21] != "  "+path+`:20: "a/b": character '/' in a host name` ||
		lines[22] != "  and 1981 more" || len(lines) != 23 {
		t.Errorf("%d lines:\n%s", len(lines), p)
	}
}

func TestStdinTwice(t *testing.T) {
	p := problems(t, hosts.Options{Hosts: []string{"-"}, Files: []string{"-"}, Stdin: strings.NewReader("a\n")})
	if p.Total != 1 || p.List[0].Reason != "standard input is named twice" {
		t.Error(p)
	}
}

func TestTooManyHosts(t *testing.T) {
	p := problems(t, hosts.Options{
		Hosts: []string{"a,b", "n[1-9999999]", "m[1-10000000]", "bad one"},
	})
	if p.Total != 2 || p.List[0].Reason != "more than 10000000 hosts up to here" ||
		p.List[0].Text != "n[1-9999999]" || p.List[1].Text != "bad one" {
		t.Error(p)
	}
}

func TestNoHosts(t *testing.T) {
	for _, c := range []struct {
		opts         hosts.Options
		reason, hint string
	}{
		{hosts.Options{}, "no hosts were named", "-w"},
		{hosts.Options{Exclude: []string{"a"}}, "no hosts were named", "-w"},
		{hosts.Options{Files: []string{write(t, "# none\n")}}, "no hosts: the sources hold none", "line"},
		{hosts.Options{Files: []string{write(t, "")}}, "no hosts: the sources hold none", "line"},
		{hosts.Options{Hosts: []string{"a[1-3]"}, Exclude: []string{"a[1-9]"}}, "no hosts left: all 3 are excluded", "-x"},
	} {
		p := problems(t, c.opts)
		if p.Total != 1 || p.List[0].Reason != c.reason || !strings.Contains(p.List[0].Hint, c.hint) {
			t.Errorf("%+v: %v", c.opts, p)
		}
	}
}
