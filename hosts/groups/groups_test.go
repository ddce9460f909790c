package groups_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/hosts/expr"
	"shoal/hosts/groups"
	"shoal/hosts/internal/extcmd"
	"shoal/internal/hint"
	"shoal/internal/needs"
)

// A Resolver, a Static and a Chain answer what hostset asks.
var (
	_ expr.Groups = (*groups.Resolver)(nil)
	_ expr.Groups = (*groups.Static)(nil)
	_ expr.Groups = groups.Chain{}
)

const conf = `# groups
[Main]
default: local
confdir: $CFGDIR/conf.d /nowhere
autodir: $CFGDIR/groups.d $CFGDIR/groups.d

[local]
map: sed -n 's/^$GROUP:\(.*\)/\1/p' $CFGDIR/local.txt
all: sed -n 's/^all:\(.*\)/\1/p' ${CFGDIR}/local.txt
list: f=local.txt
  sed -n 's/^\([0-9A-Za-z_-]*\):.*/\1/p' $f
reverse = awk -F: -v n=$NODE 'index($$2, n) {print $$1}' local.txt

[one,two]
map: echo $SOURCE-$GROUP
list: echo a b
cache_time: 0.5
`

const local = `all: n[1-9]
web: n[1-3] n5
db: n[4-5]
both: @web,@db
minus: @web!n2
rack[1-2]: nothing
empty:
`

const racks = `racks:
  r1: n[1-4]
  r2: [n5, "n[6-7]"]
  both: "@r1,@r2"
  cross: "@local:web&@r1"
  none:
  '7': n7
sized:
  all: x[1-3]
  a: x1
`

func config(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	if files == nil {
		files = []string{
			"groups.conf", conf, "local.txt", local, "groups.d/r.yaml", racks, "groups.d/r.txt", "[",
			"conf.d/more.conf", "[more]\nmap: cat more-$GROUP\n", "conf.d/more-x", "m1\nm2 m3\n\n",
		}
	}
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func resolver(t testing.TB, dir string) *groups.Resolver {
	t.Helper()
	return groups.New(context.Background(), groups.Options{Files: []string{filepath.Join(dir, "groups.conf")}})
}

func TestResolver(t *testing.T) {
	r := resolver(t, config(t))
	for _, c := range []struct{ source, name, want string }{
		{"", "web", "n[1-3],n5"},
		{"local", "db", "n[4-5]"},
		{"", "both", "@local:web,@local:db"},
		{"", "empty", ""},
		{"racks", "r2", "n5,n[6-7]"},
		{"racks", "both", "@racks:r1,@racks:r2"},
		{"racks", "cross", "@local:web&@racks:r1"},
		{"racks", "none", ""},
		{"racks", "7", "n7"},
		{"more", "x", "m1,m2,m3"},
		{"two", "g", "two-g"},
	} {
		if c.name == "g" {
			continue // its list does not name it: see TestErrors
		}
		got, err := r.Group(c.source, c.name)
		if err != nil || got != c.want {
			t.Errorf("@%s:%s is %q, %v; want %q", c.source, c.name, got, err, c.want)
		}
	}
	if got, err := r.Group("two", "a"); err != nil || got != "two-a" {
		t.Errorf("@two:a is %q, %v", got, err)
	}
	names, err := r.Names("")
	if diff := cmp.Diff(strings.Fields("all web db both minus empty"), names); diff != "" || err != nil {
		t.Errorf("names: %v (-want +got):\n%s", err, diff)
	}
	names, err = r.Names("racks")
	if diff := cmp.Diff(strings.Fields("r1 r2 both cross none 7"), names); diff != "" || err != nil {
		t.Errorf("names: %v (-want +got):\n%s", err, diff)
	}
	for source, want := range map[string]string{"": "n[1-9]", "sized": "x[1-3]", "one": "", "racks": ""} {
		if got, err := r.All(source); errors.Is(err, errors.ErrUnsupported) != (want == "") || want != "" && err != nil || got != want {
			t.Errorf("all of %q is %q, %v; want %q", source, got, err, want)
		}
	}
	// Each group is an expression of its own: the operators of one do not apply to others.
	for source, want := range map[string]string{"": "n[1-9]", "sized": "x[1-3]", "one": "one-a,one-b", "racks": "n[1-7]"} {
		e, err := expr.NewResolver(r).Parse("@" + source + ":*")
		if source == "" {
			e, err = expr.NewResolver(r).Parse("@*")
		}
		if set := e.Set(); err != nil || set.Fold() != want {
			t.Errorf("all hosts of %q are %v, %v; want %q", source, set, err, want)
		}
	}
	reverse, err := r.Reverse("", "n5")
	if diff := cmp.Diff([]string{"web"}, reverse); diff != "" || err != nil {
		t.Errorf("reverse: %v (-want +got):\n%s", err, diff)
	}
	if _, err := r.Reverse("racks", "n5"); !errors.Is(err, groups.ErrNoReverse) {
		t.Errorf("reverse of a YAML source: %v", err)
	}
	sources, err := r.Sources()
	if diff := cmp.Diff(strings.Fields("local more racks sized one two"), sources); diff != "" || err != nil {
		t.Errorf("sources: %v (-want +got):\n%s", err, diff)
	}
}

// TestSameAsNodeset compares with the installed ClusterShell.
func TestSameAsNodeset(t *testing.T) {
	dir := config(t)
	home := t.TempDir()
	r := groups.New(context.Background(), groups.Options{Files: groups.Paths(func(name string) string {
		return map[string]string{"CLUSTERSHELL_CFGDIR": dir}[name]
	}, home)})
	questions := strings.Fields("@web @both @minus @racks:both @racks:cross @racks:r2 @more:x @* @sized:* @one:* @two:a,@web!n1 s:racks s:sized s:two s:local")
	for i, want := range clusterShell(t, questions, dir, home) {
		got := ""
		if source, listing := strings.CutPrefix(questions[i], "s:"); listing {
			names, err := r.Names(source)
			if err != nil {
				t.Errorf("%s: %v", source, err)
			}
			slices.Sort(names)
			got = strings.Join(names, " ")
		} else {
			parsed, err := expr.NewResolver(r).Parse(questions[i])
			if err != nil {
				t.Errorf("%s: %v", questions[i], err)
			}
			got = parsed.Set().Fold()
		}
		if got != want {
			t.Errorf("%s: ClusterShell: %q, ours: %q", questions[i], want, got)
		}
	}
}

// clusterShell asks the installed ClusterShell, all at once.
func clusterShell(t *testing.T, questions []string, dir, home string) []string {
	t.Helper()
	script, err := os.ReadFile(needs.Program(t, "nodeset"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(script), "\n")
	argv := append(strings.Fields(strings.TrimPrefix(line, "#!")), append([]string{"testdata/oracle.py"}, questions...)...)
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "CLUSTERSHELL_CFGDIR="+dir, "HOME="+home, "XDG_CONFIG_HOME="+home)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("asking ClusterShell: %v\n%s", err, exit.Stderr)
	}
	answers := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(answers) != len(questions) {
		t.Fatalf("%d answers to %d questions", len(answers), len(questions))
	}
	return answers
}

func TestErrors(t *testing.T) {
	dir := config(t)
	r := resolver(t, dir)
	for _, c := range []struct {
		ask        func() (string, error)
		want, hint string
	}{
		{func() (string, error) { return r.Group("", "wbe") }, `no group "wbe" in source local`, "web"},
		{func() (string, error) { return r.Group("racks", "x") }, `no group "x" in source racks`, "r1, r2"},
		{func() (string, error) { return r.Group("nosuch", "x") }, `no source of groups is called "nosuch"`, "local"},
		{func() (string, error) { return r.Group("more", "y") }, `map upcall of source more: it ended with exit status 1 and said "cat: more-y: No such file or directory"`, "by hand"},
		{func() (string, error) { return r.Group("", "x;id") }, `$GROUP for the map upcall of source local: character ';' in name "x;id"`, "shell"},
		{func() (string, error) { return r.Group("", "$(id)") }, `$GROUP for the map upcall of source local: character '$' in name "$(id)"`, "shell"},
		{func() (string, error) { return r.Group("", "-n") }, `$GROUP for the map upcall of source local: name "-n" begins with '-'`, "shell"},
		{func() (string, error) { return r.Group("", "a/p;e id") }, `$GROUP for the map upcall of source local: character '/' in name "a/p;e id"`, "shell"},
		{func() (string, error) {
			_, err := expr.NewResolver(r).All("more")
			return "", err
		}, "listing groups: source more of groups has no list upcall", "list:"},
		{func() (string, error) {
			_, err := r.Reverse("", "n1\nid")
			return "", err
		}, `$NODE for the reverse upcall of source local: character '\n' in name "n1\nid"`, "shell"},
	} {
		_, err := c.ask()
		if err == nil || err.Error() != c.want || !strings.Contains(hint.Of(err), c.hint) {
			t.Errorf("%v, hint %q; want %s, …%s…", err, hint.Of(err), c.want, c.hint)
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	for _, c := range []struct {
		want  string
		files []string
	}{
		{"groups.conf:2: an option before the first section", []string{"groups.conf", "\nmap: x\n"}},
		{`groups.conf:3: section [a] stands twice`, []string{"groups.conf", "[a]\nmap: x\n[a]\n"}},
		{`groups.conf:3: option map of [a] stands twice`, []string{"groups.conf", "[a]\nmap: x\nMAP= y\n"}},
		{`groups.conf: source [a] has no map upcall`, []string{"groups.conf", "[a]\nlist: x\n"}},
		{`groups.conf: cache_time "x" of source [a]`, []string{"groups.conf", "[a]\nmap: x\ncache_time: x\n"}},
		{`groups.conf:2: "nothing" is not an option`, []string{"groups.conf", "[a]\nnothing\n"}},
		{`groups.conf:1: "[]" is not a section`, []string{"groups.conf", "[]\n"}},
		{`the default source of groups "b" is not there`, []string{"groups.conf", "[Main]\ndefault: b\n[a]\nmap: x\n"}},
		{`groups.d/a.yaml:1: source "a" is text, not a mapping of groups`, []string{"groups.conf", "[Main]\nautodir: $CFGDIR/groups.d\n", "groups.d/a.yaml", "a: b\n"}},
		{`groups.d/a.yaml:3: key "b" stands in line 2 already`, []string{"groups.conf", "[Main]\nautodir: $CFGDIR/groups.d\n", "groups.d/a.yaml", "a:\n b: x\n b: y\n"}},
		{`groups.d/a.yaml:2: a group whose name is a number`, []string{"groups.conf", "[Main]\nautodir: $CFGDIR/groups.d\n", "groups.d/a.yaml", "a:\n 1: x\n"}},
		{`groups.d/a.yaml:2: group "b" is a mapping`, []string{"groups.conf", "[Main]\nautodir: $CFGDIR/groups.d\n", "groups.d/a.yaml", "a:\n b: {c: d}\n"}},
		{
			`groups.d/b.yaml: source of groups "a" is there already`,
			[]string{"groups.conf", "[Main]\nautodir: $CFGDIR/groups.d\n", "groups.d/a.yaml", "a: {b: c}\n", "groups.d/b.yaml", "a: {b: c}\n"},
		},
	} {
		dir := config(t, c.files...)
		_, err := resolver(t, dir).Names("")
		if err == nil || strings.ReplaceAll(err.Error(), dir+"/", "") != c.want {
			t.Errorf("%v; want %s", err, c.want)
		}
	}
	r := groups.New(context.Background(), groups.Options{Files: []string{filepath.Join(t.TempDir(), "groups.conf")}})
	if _, err := r.Group("", "a"); err == nil || err.Error() != "no source of groups is configured" {
		t.Errorf("without any file: %v", err)
	}
}

// TestLaterFilesCount: options of later files stand over those of earlier ones.
func TestLaterFilesCount(t *testing.T) {
	first := config(t, "groups.conf", "[DEFAULT]\nlist: echo d\n[a]\nmap: echo first\n[b]\nmap: echo b-$CFGDIR\n")
	second := config(t, "groups.conf", "[a]\nmap: echo second\n")
	r := groups.New(context.Background(), groups.Options{Files: []string{filepath.Join(first, "groups.conf"), "/nowhere", filepath.Join(second, "groups.conf")}})
	for source, want := range map[string]string{"": "second", "a": "second", "b": "b-" + second} {
		if got, err := r.Group(source, "d"); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", source, got, err, want)
		}
	}
	if names, err := r.Names("b"); err != nil || !slices.Equal(names, []string{"d"}) {
		t.Errorf("an option of [DEFAULT]: %q, %v", names, err)
	}
}

func TestCache(t *testing.T) {
	dir := config(t, "groups.conf", "[a]\nmap: echo x >>calls; wc -l <calls\ncache_time: 10\n")
	now := time.Unix(1000, 0)
	r := groups.New(context.Background(), groups.Options{Files: []string{filepath.Join(dir, "groups.conf")}, Now: func() time.Time { return now }})
	for i, c := range []struct {
		after time.Duration
		group string
		want  string
	}{
		{0, "g", "1"}, {9 * time.Second, "g", "1"}, {0, "h", "1"}, {2 * time.Second, "g", "2"},
	} {
		now = now.Add(c.after)
		if got, err := r.Group("", c.group); err != nil || got != c.want {
			t.Errorf("question %d: %q, %v; want %s", i, got, err, c.want)
		}
	}
}

func TestUpcallIsBounded(t *testing.T) {
	dir := config(t, "groups.conf", "[slow]\nmap: sleep 600\n[big]\nmap: yes\n")
	r := groups.New(context.Background(), groups.Options{
		Files: []string{filepath.Join(dir, "groups.conf")}, Limits: extcmd.Limits{Timeout: 50 * time.Millisecond},
	})
	if _, err := r.Group("slow", "g"); err == nil || err.Error() != "map upcall of source slow: still running after 50ms" {
		t.Error(err)
	}
	r = groups.New(context.Background(), groups.Options{Files: []string{filepath.Join(dir, "groups.conf")}, Limits: extcmd.Limits{Output: 1000}})
	if _, err := r.Group("big", "g"); err == nil || err.Error() != "map upcall of source big: more than 1000 bytes of output" {
		t.Error(err)
	}
}

func TestPaths(t *testing.T) {
	env := map[string]string{}
	got := groups.Paths(func(name string) string { return env[name] }, "/home/u")
	want := []string{"/etc/clustershell/groups.conf", "/home/u/.local/etc/clustershell/groups.conf", "/home/u/.config/clustershell/groups.conf"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	env = map[string]string{"XDG_CONFIG_HOME": "/x", "CLUSTERSHELL_CFGDIR": "/c"}
	got = groups.Paths(func(name string) string { return env[name] }, "")
	if diff := cmp.Diff([]string{"/etc/clustershell/groups.conf", "/x/clustershell/groups.conf", "/c/groups.conf"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestChain(t *testing.T) {
	own := &groups.Static{Name: "inventory", Groups: []string{"web", "db"}, Members: func(name string) ([]string, bool) {
		hosts, there := map[string][]string{"web": {"w1", "w2"}, "db": {"d1"}, "all": {"w1", "w2", "d1"}}[name]
		return hosts, there
	}}
	c := groups.Chain{First: own, Then: resolver(t, config(t))}
	for _, q := range []struct{ source, name, want string }{
		{"", "web", "w[1-2]"},
		{"local", "web", "n[1-3],n5"},
		{"", "minus", "@local:web!n2"},
		{"inventory", "db", "d1"},
	} {
		if got, err := c.Group(q.source, q.name); err != nil || got != q.want {
			t.Errorf("@%s:%s is %q, %v; want %q", q.source, q.name, got, err, q.want)
		}
	}
	if got, err := c.All(""); err != nil || got != "d1,w[1-2]" {
		t.Errorf("all: %q, %v", got, err)
	}
	if _, err := c.Group("inventory", "x"); err == nil || fmt.Sprint(err) != `no group "x" in source inventory` {
		t.Error(err)
	}
	if _, err := c.Group("", "x"); err == nil || hint.Of(err) != "known are web, db" {
		t.Errorf("%v, hint %q", err, hint.Of(err))
	}
}

// A name with a meaning in expressions stands for itself or for nothing, never for other hosts.
func TestStaticNames(t *testing.T) {
	for _, odd := range []string{"a,b", "w[1-2]", "w*", "w?", "@all", "w!w1", "w1&w2", "a^b", "a b"} {
		own := &groups.Static{Name: "inventory", Members: func(string) ([]string, bool) {
			return []string{"w1", odd, "w2"}, true
		}}
		text, err := own.Group("", "web")
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the host %q of group", odd)) {
			t.Errorf("%q: %q, %v", odd, text, err)
		}
	}
	for _, plain := range [][]string{nil, {"w1", "W1"}, {"fe80::1", "fe80::2", "fe80::1%eth0"}, {"me@w1", "w01", "w.example"}} {
		own := &groups.Static{Members: func(string) ([]string, bool) { return plain, true }}
		text, err := own.Group("", "web")
		if e, parseErr := expr.Parse(text); err != nil || len(plain) > 0 && (parseErr != nil || !e.Set().Equal(expr.SetOf(plain))) {
			t.Errorf("%q: %q, %v, %v", plain, text, err, parseErr)
		}
	}
}
