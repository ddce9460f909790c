package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"shoal/fleet"
	"shoal/hosts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tree has the commands that the tests configure.
func tree() *cobra.Command {
	root := &cobra.Command{Use: "shoal"}
	run := &cobra.Command{Use: "run", RunE: func(*cobra.Command, []string) error { return nil }}
	run.Flags().StringArray("hosts-from", nil, "")
	run.Flags().StringArrayP("identity", "i", nil, "")
	run.Flags().StringSlice("mask", nil, "")
	run.Flags().Int("fanout", 0, "")
	run.Flags().Bool("gather", false, "")
	run.Flags().String("script", "", "")
	run.Flags().String("host-key", "", "")
	run.Flags().String("password-file", "", "")
	run.Flags().String("stdin-from", "", "")
	run.Flags().String("metrics", "", "")
	run.Flags().String("cluster", "", "")
	run.Flags().String("nats-ca", "", "")
	run.Flags().StringArray("hosts", nil, "")
	run.Flags().StringArray("exclude", nil, "")
	root.AddCommand(run)
	return root
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each kind of key is found with its line.
func TestLines(t *testing.T) {
	entries, err := parse([]byte("a.b = 1\n\n# c\n[t.\"u v\"]\nx = [\n  1,\n  2]\ny = { z = 'q',\n w = true }\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	for _, e := range entries {
		got[strings.Join(e.path, "/")] = e.line
	}
	for path, line := range map[string]int{"a/b": 1, "t/u v": 4, "t/u v/x": 5, "t/u v/y": 8, "t/u v/y/z": 8} {
		if got[path] != line {
			t.Errorf("%s: line %d, want %d (%v)", path, got[path], line, got)
		}
	}
	if v := at(map[string]any{"a": map[string]any{"b": int64(1)}}, []string{"a", "b"}); v != int64(1) {
		t.Errorf("a.b is %v", v)
	}
}

// A file of another user sets nothing that starts programs; the test cannot make such a file.
func TestForeign(t *testing.T) {
	for text, want := range map[string]string{
		"[defaults]\nfanout = 3\n":                     "",
		"[defaults]\nhosts-from = 'x'\n":               "2: hosts-from may start programs here",
		"[fleets.a]\nhost-key = 'insecure'\n":          "2: host-key may start programs here",
		"[commands.a]\nscript = 'x'\n":                 "2: script may start programs here",
		"[fleets.a]\ncluster = 'nats://x'\n":           "2: cluster may start programs here, or decides whom to trust",
		"[defaults]\nnats-ca = 'x'\n":                  "2: nats-ca may start programs here, or decides whom to trust",
		"[fleets.a]\nhosts = ['a', '^x']\n":            "2: hosts names a file of hosts",
		"[defaults]\nexclude = '^x'\n":                 "2: exclude names a file of hosts",
		"[fleets.a]\nhosts = 'a^b'\nexclude = 'c'\n":   "",
		"[defaults]\npassword-file = 'x'\n":            "2: password-file has a file here written, or sent to hosts",
		"[fleets.a]\nstdin-from = '~/.ssh/id'\n":       "2: stdin-from has a file here written, or sent to hosts",
		"[defaults]\nmetrics = '~/.profile'\n":         "2: metrics has a file here written, or sent to hosts",
		"[commands.a]\ncommand = 'x'\ngather = true\n": "",
	} {
		entries, err := parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		f := &file{path: "/x/c", foreign: true, top: section{}, defaults: map[string]section{}, fleets: map[string]section{}, commands: map[string]section{}}
		c := checker{file: f, name: "c", known: &commands{root: tree()}, lines: map[string]int{}}
		err = c.all(entries)
		if (err == nil) != (want == "") || want != "" && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What others can change is refused, and what is no file.
func TestGuard(t *testing.T) {
	path := write(t, "[defaults]\nfanout = 3\n")
	load := func() error { _, err := Sources{Path: path}.Load(tree); return err }
	if err := load(); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o620, 0o602} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := load(); err == nil || !strings.Contains(err.Error(), "can be written by others") {
			t.Errorf("%v: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := load(); err == nil || !strings.Contains(err.Error(), "everybody can write to") {
		t.Errorf("a directory that everybody can write to: %v", err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if err := load(); err != nil {
		t.Errorf("a sticky directory: %v", err)
	}
	path = filepath.Dir(path)
	if err := load(); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a directory: %v", err)
	}
}

// The user's file counts before the system's, key by key; fleets count as a whole.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv(pathVariable, "")
	if err := os.MkdirAll(filepath.Join(dir, "shoal"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "shoal", "config.toml"), []byte("[defaults]\nfanout = 3\n[fleets.a]\nfanout = 4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	system := write(t, "[defaults]\nfanout = 5\nmask = 'a,b'\nidentity = ['k', '~/l', '/m']\n[fleets.a]\ngather = true\n[fleets.b]\n")
	c, err := Sources{System: system}.Load(tree)
	if err != nil {
		t.Fatal(err)
	}
	run, _, _ := tree().Find([]string{"run"})
	var fleet string
	var yes bool
	AddFlags(run, &fleet, &yes)
	if err := run.ParseFlags([]string{"--fleet", "a"}); err != nil {
		t.Fatal(err)
	}
	set, err := c.apply(run, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := set.set["fanout"]; got.texts[0] != "4" || !strings.HasPrefix(got.from, "fleet a, ") {
		t.Errorf("fanout: %v", got)
	}
	if _, ok := set.set["gather"]; ok {
		t.Error("the system's fleet of the same name counts")
	}
	keys, _ := run.Flags().GetStringArray("identity")
	home, _ := os.UserHomeDir()
	if want := filepath.Dir(system) + "/k," + home + "/l,/m"; strings.Join(keys, ",") != want {
		t.Errorf("identity: %q, want %q", keys, want)
	}
	if got := strings.Join(c.Fleets(), ","); got != "a,b" {
		t.Errorf("fleets: %s", got)
	}
	if run.Flags().Changed("fanout") {
		t.Error("a configured flag is Changed, as if it were typed")
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte("confirm = 'x'\n[defaults]\nfanout = 1\n[fleets.a]\nmask=['x']\n"))
	f.Add([]byte("[a.b]\nc = {d=[1,{}]}\n[[x]]\n"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		entries, err := parse(text)
		if err != nil {
			return
		}
		to := &file{path: "/x/c", top: section{}, defaults: map[string]section{}, fleets: map[string]section{}, commands: map[string]section{}}
		c := checker{file: to, name: "c", known: &commands{root: tree()}, lines: map[string]int{}}
		_ = c.all(entries)
	})
}

// A condition holds for hosts as it does in --where, also for those without attributes.
func TestConditionWithoutAttributes(t *testing.T) {
	list := hosts.ListOf(fleet.Host{Name: "web1"}, fleet.Host{Name: "web2"})
	for condition, want := range map[string]int{"env!=test": 2, "!has(env)": 2, "env==prod": 0, "has(env)": 0, "!(env==test)": 2, never: 0, always: 2} {
		a := &applied{set: map[string]value{keyConfirm: {texts: []string{condition}, from: "here"}}}
		r, err := a.rules(new(bool))
		if err != nil {
			t.Fatal(err)
		}
		why, total, names := r.why(list.Targets(1), true)
		if len(names) != want || total != 2 || (why == "") != (want == 0) {
			t.Errorf("%s: %q for %q of %d, want %d hosts", condition, why, names, total, want)
		}
	}
}
