package hosts_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/hosts"
	"shoal/hosts/expr"
)

// TestI01 holds the texts of catalogue row I01 that are good.
// faults.md: I01
func TestI01(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"plain", "a\nb\n", "a b"},
		{"no final newline", "a\nb", "a b"},
		{"byte-order mark", "\ufeffa\nb\n", "a b"},
		{"CRLF", "a\r\nb\r\n", "a b"},
		{"CRLF without the last", "a\r\nb\r", "a b"},
		{"tabs", "\ta\t\n  b  \n", "a b"},
		{"blank lines", "\n\n \t\n\na\n\r\nb\n\n", "a b"},
		{"comments", "# first\na # the old one\n\t# more\nb\t#x\n", "a b"},
		{"comment of other bytes", "a # Büro\u00a0links\n", "a"},
		{"several to a line", "a, b,c[1-2]\n", "a b c1 c2"},
		{"ranges", "node[08-10]\n", "node08 node09 node10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := load(t, hosts.Options{Files: []string{write(t, c.text)}})
			if diff := cmp.Diff(strings.Fields(c.want), namesOf(l)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if l.Notices != nil {
				t.Errorf("notices %q", l.Notices)
			}
		})
	}
}

// TestI01Bad holds those that are refused. Each is the second line of a file.
// faults.md: I01
func TestI01Bad(t *testing.T) {
	for _, c := range []struct{ line, reason, hint string }{
		{"a\x00b", "position 2: NUL byte", "text file"},
		{"# a\x00b", "position 4: NUL byte", "text file"},
		{"a\xffb", "position 2: not valid UTF-8", "UTF-8"},
		{"# a\xffb", "position 4: not valid UTF-8", "UTF-8"},
		{"\u00a0a", "position 1: U+00A0 looks like a blank", "ordinary blank"},
		{"a\u2003b", "position 2: U+2003 looks like a blank", "ordinary blank"},
		{"a\u200bb", "position 2: invisible character U+200B", "remove"},
		{"\ufeffa", "position 1: invisible character U+FEFF", "remove"},
		{"a\x1b[31m", `position 2: control character '\x1b'`, "remove"},
		{"a\u0085b", `position 2: control character '\u0085'`, "remove"},
		{"a\x7f", `position 2: control character '\x7f'`, "remove"},
		{"# a\rb", "position 4: carriage return inside a line", "LF"},
		{"a b", "position 3: blank inside a name", "user@host"},
		{"host root", "position 6: blank inside a name", "user@host"},
		{"a#b", "character '#' in a host name", "letters"},
		{"bücher", "character 'ü' (U+00FC) in a host name", "xn--"},
		{"node[1-", "position 5: bracket is not closed", "]"},
		{"@web", `position 1: group "@web": no group source is configured`, ""},
		{"-node3", "host name begins with '-'", "-x"},
		{"node:[65534-65537]", `"node:65536": port "65536"`, "65535"},
		{"a,b,-c", `"-c": host name begins with '-'`, "-x"},
		{"x" + strings.Repeat("y", hosts.MaxLine), "line of more than 65536 bytes", "one expression"},
		{"x" + strings.Repeat("y", 1<<20), "line of more than 65536 bytes", "one expression"},
	} {
		path := write(t, "good1\n"+c.line+"\ngood2\n")
		p := problems(t, hosts.Options{Files: []string{path}})
		if p.Total != 1 || len(p.List) != 1 {
			t.Errorf("%.40q: %d problems: %v", c.line, p.Total, p)
			continue
		}
		got := p.List[0]
		if got.Source != path || got.Line != 2 || got.Reason != c.reason || !strings.Contains(got.Hint, c.hint) {
			t.Errorf("%.40q: got %+v; want line 2, %q, …%q…", c.line, got, c.reason, c.hint)
		}
		if want := c.line[:min(len(c.line), 80)]; !strings.HasPrefix(got.Text, want) || len(got.Text) > 90 {
			t.Errorf("%.40q: text %.100q", c.line, got.Text)
		}
	}
}

// faults.md: I01
func TestLongestLine(t *testing.T) {
	longest := "a" + strings.Repeat(" ", hosts.MaxLine-3) + ",b"
	for _, end := range []string{"", "\n", "\r\n"} {
		l := load(t, hosts.Options{Files: []string{write(t, longest+end)}})
		if diff := cmp.Diff([]string{"a", "b"}, namesOf(l)); diff != "" {
			t.Errorf("end %q (-want +got):\n%s", end, diff)
		}
	}
}

func TestUTF16(t *testing.T) {
	for _, text := range []string{"\xff\xfea\x00\n\x00", "\xfe\xff\x00a\x00\n"} {
		p := problems(t, hosts.Options{Files: []string{write(t, text)}})
		if p.Total != 1 || p.List[0].Reason != "the text is UTF-16" || p.List[0].Line != 0 {
			t.Errorf("%q: %v", text, p)
		}
	}
}

func FuzzHostFile(f *testing.F) {
	for _, seed := range []string{
		"a\nb\n", "\ufeffa\r\n# c\n", "n[1-3],u@x:22 # y\n", "\xff\xfea\x00", "a\x00b", "a b\n\u00a0c\n[::1]:22", "#include x\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Count(text, "\n") + 1
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(line, "#")
			if e, err := expr.Parse(strings.TrimSpace(line)); err == nil && e.Len() > 1000 {
				return // right, and slow
			}
		}
		l, err := hosts.Load(hosts.Options{Files: []string{"-"}, Stdin: strings.NewReader(text)})
		if err != nil {
			var p *hosts.Problems
			if !errors.As(err, &p) || p.Total == 0 {
				t.Fatalf("%q: %v", text, err)
			}
			for _, problem := range p.List {
				if problem.Line > lines || problem.Reason == "" || problem.Hint == "" {
					t.Fatalf("%q: %+v", text, problem)
				}
			}
			return
		}
		again, err := hosts.Load(hosts.Options{Hosts: namesOf(l)})
		if err != nil {
			t.Fatalf("%q: reloading %q: %v", text, namesOf(l), err)
		}
		if diff := cmp.Diff(slices.Collect(l.Hosts()), slices.Collect(again.Hosts())); diff != "" || again.Notices != nil {
			t.Fatalf("%q reloads differently: %s %q", text, diff, again.Notices)
		}
	})
}
