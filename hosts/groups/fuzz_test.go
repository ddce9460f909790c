package groups

import (
	"context"
	"strings"
	"testing"

	"shoal/hosts/internal/extcmd"
)

// FuzzConfig: any text is a configuration or an error, and what is read back is
// what was written.
func FuzzConfig(f *testing.F) {
	f.Add([]byte("[Main]\ndefault: a\n[a,b]\nmap: x $GROUP\n  more\nlist= y\n"))
	f.Add([]byte("[DEFAULT]\nall: x\n[a]\n"))
	f.Add([]byte("; c\n[a\nb]:"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c config
		if c.parse("groups.conf", data) != nil {
			return
		}
		r := New(context.Background(), Options{})
		r.byName = make(map[string]*source)
		_ = r.upcalls(&c, "/", "groups.conf") // an error is as good
		for _, s := range r.sources {
			if s.name == "Main" || s.kind.(*upcaller).commands["map"] == "" {
				t.Errorf("source %q of %q", s.name, data)
			}
		}
	})
}

func FuzzGroupsYAML(f *testing.F) {
	f.Add([]byte("a: {b: c, d: [e, f]}\ng: {h: }\n"))
	f.Add([]byte("a: &x {b: c}\nd: *x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := New(context.Background(), Options{})
		r.byName, r.read = make(map[string]*source), true
		if r.parseYAML("a.yaml", data) != nil {
			return
		}
		for _, s := range r.sources {
			for _, name := range s.kind.(*file).order {
				if _, err := r.Group(s.name, name); err != nil && s.name != "" {
					t.Errorf("group %q of %q is listed: %v", name, s.name, err)
				}
			}
		}
	})
}

// FuzzSubstitute: what Word lets through stays one harmless word of the command.
func FuzzSubstitute(f *testing.F) {
	f.Add("echo $GROUP", "web")
	f.Add("$$${GROUP}$GROUPS$", "a.b")
	f.Fuzz(func(t *testing.T, template, value string) {
		if extcmd.Word(value) != nil {
			return
		}
		if strings.ContainsAny(value, " \t\n'\"\\$`;&|<>(){}[]*?!#~=/^") {
			t.Fatalf("Word lets %q through", value)
		}
		got := substitute(template, map[string]string{"GROUP": value})
		if again := substitute(template, nil); len(got) > len(again)+len(value)*strings.Count(template, "GROUP") {
			t.Errorf("%q becomes %q", template, got)
		}
		if !strings.Contains(template, "$") && got != template {
			t.Errorf("%q becomes %q", template, got)
		}
	})
}
