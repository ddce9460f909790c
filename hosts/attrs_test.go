package hosts_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/hosts"
	"shoal/hosts/groups"
)

// told returns everything known of every host, a line each.
func told(l *hosts.List) []string {
	var lines []string
	for e := range l.Entries() {
		line := e.Host.String()
		if e.Address != "" {
			line += " @" + e.Address
		}
		if e.IdentityFile != "" {
			line += " key=" + e.IdentityFile
		}
		for name, value := range e.Attrs.All() {
			line += fmt.Sprintf(" %s=%q", name, value)
		}
		lines = append(lines, line)
	}
	return lines
}

// put writes files into a directory and gives the path of the first.
func put(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0])
}

const sections = `loose
[web]
web[1-2] env=prod az="a b"  # comment
both, root@both:2222
[db]
db1 env=test note='it"s'
both rack=7
[1-2]
[::1]
[ ]x
`

func TestSectionsAndAttributes(t *testing.T) {
	file := write(t, strings.Replace(sections, "[ ]x\n", "", 1))
	l := load(t, hosts.Options{Files: []string{file}})
	want := []string{
		"loose", `web1 az="a b" env="prod"`, `web2 az="a b" env="prod"`, `both rack="7"`, "root@both:2222",
		`db1 env="test" note="it\"s"`, "1", "2", "::1",
	}
	if diff := cmp.Diff(want, told(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if l.Notices != nil {
		t.Errorf("a host of two groups is a duplicate: %q", l.Notices)
	}
}

func TestSectionsAreGroups(t *testing.T) {
	file := write(t, "loose\n[web]\nweb[1-3]\n[eu]\nweb2\ndb1\n[empty]\n")
	for _, c := range []struct {
		opts hosts.Options
		want string
	}{
		{hosts.Options{Patterns: []string{"web"}}, "web1 web2 web3"},
		{hosts.Options{Patterns: []string{"web:&eu"}}, "web2"},
		{hosts.Options{Patterns: []string{"all:!web"}}, "loose db1"},
		{hosts.Options{Patterns: []string{"eu"}, Hosts: []string{"web[1-2],other"}}, "web2"},
		{hosts.Options{Hosts: []string{"@web!@eu"}, Patterns: []string{"!web1"}}, "web3"},
		{hosts.Options{Exclude: []string{"@eu"}}, "loose web1 web3"},
		{hosts.Options{Exclude: []string{"WEB*"}}, "loose db1"},
		{hosts.Options{Hosts: []string{"@*!WEB*"}}, "db1 loose"},
		{hosts.Options{Patterns: []string{"all:!WEB*"}}, "loose db1"},
		{hosts.Options{Exclude: []string{"@inventory:web"}}, "loose db1"},
	} {
		c.opts.Files = []string{file}
		if diff := cmp.Diff(strings.Fields(c.want), namesOf(load(t, c.opts))); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.opts, diff)
		}
	}
}

func TestBadLines(t *testing.T) {
	for _, c := range []struct{ line, reason, hint string }{
		{"[web:vars]", "a section of an Ansible inventory", "--inventory"},
		{"[web:children]", "a section of an Ansible inventory", "--inventory"},
		{"a x=1 y", "a word without = behind attributes", "name=value"},
		{`a x="1`, "a quote that is not closed", "name=value"},
		{`a x="1"y=2`, "text right behind a closing quote", "name=value"},
		{"a x=1 x=2", "attribute x stands twice", "one of them"},
		{"a 1x=1", `character '1' in the attribute name "1x"`, "begins with a letter"},
		{"a =1", "attribute without a name", "letters"},
		{"a b x=1", "position 3: blank inside a name", ""},
		{`{"host":"a","host":"b"}`, `key "host" stands in line 1 already`, "one of them"},
		{`{"user":"a"}`, `no "host"`, "node1"},
		{`{"host":null}`, `"host" is null`, "node1"},
		{`{"host":"a b"}`, `character ' ' in a host name`, "letters"},
		{`{"host":"a","user":"x;y"}`, `character ';' in a user name`, "user name"},
		{`{"host":"a","port":0}`, `port "0"`, "65535"},
		{`{"host":"b@a:22","user":"c"}`, `user is "b" and "c"`, "once"},
		{`{"host":"a:22","port":23}`, "port is 22 and 23", "once"},
		{`{"host":"a","address":"-x"}`, `address "-x": host name begins with '-'`, "-x"},
		{`{"host":"a","address":"b:1"}`, `address "b:1": an address with a user or port in it`, "apart"},
		{`{"host":"a","x":[1]}`, `"x" is a list`, "text"},
		{`{"host":"a","groups":"web"}`, `"groups" is text`, "groups"},
		{`{"host":"a","groups":["1"]}`, `"1" is not the name of a group`, "groups"},
		{`{"host":"a"`, "the JSON text ends too early", "complete"},
		{`{"host":"a"} x`, "more after the end of the JSON text", "one JSON"},
		{`{"host":"a","identity_file":"\u001b"}`, `key file "\x1b": position 1: control character '\x1b'`, "remove"},
	} {
		p := problems(t, hosts.Options{Files: []string{write(t, "good\n"+c.line+"\n")}})
		got := p.List[0]
		if p.Total != 1 || got.Line != 2 || got.Reason != c.reason || !strings.Contains(got.Hint, c.hint) {
			t.Errorf("%s: %d problems, %+v; want %q, …%q…", c.line, p.Total, got, c.reason, c.hint)
		}
	}
}

func TestJSONLines(t *testing.T) {
	text := `{"host":"a","user":"root","port":2222,"address":"10.0.0.1","identity_file":"~/k","env":"prod","n":7,"up":true,"gone":null,"groups":["web"]}
{"host":"[::1]:22"}
plain x=1
`
	l := load(t, hosts.Options{Files: []string{"-"}, Stdin: strings.NewReader(text)})
	want := []string{`root@a:2222 @10.0.0.1 key=~/k env="prod" n="7" up="true"`, "[::1]:22", `plain x="1"`}
	if diff := cmp.Diff(want, told(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l = load(t, hosts.Options{Files: []string{"-"}, Stdin: strings.NewReader(text), Patterns: []string{"web"}})
	if diff := cmp.Diff([]string{"root@a:2222"}, namesOf(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHostsFrom(t *testing.T) {
	l := load(t, hosts.Options{Commands: []string{`echo 'n[1-2] env=x'; echo '{"host":"j"}'`, "true"}})
	if diff := cmp.Diff([]string{`n1 env="x"`, `n2 env="x"`, "j"}, told(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p := problems(t, hosts.Options{Commands: []string{"echo good; echo oops >&2; exit 3", "echo; echo 'a b'"}})
	want := []hosts.Problem{
		{
			Source: "--hosts-from echo good; echo oops >&2; exit 3",
			Reason: `it ended with exit status 3 and said "oops"`, Hint: "run it by hand",
		},
		{Source: "--hosts-from echo; echo 'a b'", Line: 2, Text: "a b", Reason: "position 3: blank inside a name", Hint: p.List[1].Hint},
	}
	if diff := cmp.Diff(want, p.List); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p = problems(t, hosts.Options{Commands: []string{"sleep 600"}, CommandTimeout: 20 * time.Millisecond})
	if p.Total != 1 || p.List[0].Reason != "still running after 20ms" {
		t.Error(p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hosts.LoadContext(ctx, hosts.Options{Commands: []string{"echo a"}}); err == nil || !strings.Contains(err.Error(), "stopped: context canceled") {
		t.Error(err)
	}
}

func TestAttrsNeedNoAllocation(t *testing.T) {
	l := load(t, hosts.Options{Files: []string{write(t, "a x=1\nb\n")}})
	allocs := testing.AllocsPerRun(100, func() {
		var attrs interface{ Attr(string) (string, bool) } = l.Attrs(0)
		if value, _ := attrs.Attr("x"); value != "1" {
			t.Error(value)
		}
	})
	if _, there := l.Attrs(1).Attr("x"); there || allocs != 0 {
		t.Errorf("%v allocations; b has x: %v", allocs, there)
	}
}

func TestWhatSourcesSayIsJoined(t *testing.T) {
	l := load(t, hosts.Options{
		Hosts: []string{"a,b"},
		Files: []string{write(t, "a x=1\n"), write(t, `{"host":"A","x":"1","y":2,"address":"10.0.0.1"}`+"\n")},
	})
	if diff := cmp.Diff([]string{`a @10.0.0.1 x="1" y="2"`, "b"}, told(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p := problems(t, hosts.Options{Files: []string{
		write(t, "a x=1\n{\"host\":\"b\",\"address\":\"c\"}\n"), write(t, "a x=2\n{\"host\":\"b\",\"address\":\"d\"}\n"),
	}})
	if p.Total != 2 || p.List[0].Reason != `x is "2" here and "1" before` || p.List[0].Line != 1 || p.List[1].Reason != `address is "d" here and "c" before` {
		t.Error(p)
	}
}

// Entries of one host may not differ in the options of ssh.
func TestOptionsOfSSHAreJoined(t *testing.T) {
	const common, extra = " ansible_ssh_common_args='-J gate'", " ansible_ssh_extra_args='-J gate'"
	inventory := func(one, other string) hosts.Options {
		return hosts.Options{Inventories: []string{put(t, "hosts", "db1"+one+"\nDB1"+other+"\n")}}
	}
	for _, same := range []hosts.Options{inventory(common, ""), inventory("", common), inventory(common, extra)} {
		l := load(t, same)
		if diff := cmp.Diff([]string{"ProxyJump=gate"}, l.Entry(0).SSHOptions); diff != "" || l.Len() != 1 {
			t.Errorf("%v (-want +got):\n%s", namesOf(l), diff)
		}
	}
	const want = `the list of ssh options is "ProxyJump=other" here and "ProxyJump=gate" before`
	if p := problems(t, inventory(common, " ansible_ssh_extra_args='-J other'")); p.Total != 1 || p.List[0].Reason != want {
		t.Error(p)
	}
}

func TestConfigHosts(t *testing.T) {
	l := load(t, hosts.Options{ConfigHosts: []string{"bastion", "web-1", "::1"}})
	if diff := cmp.Diff([]string{"bastion", "web-1", "::1"}, namesOf(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p := problems(t, hosts.Options{ConfigHosts: []string{"a*", "b:22"}})
	if p.Total != 2 || p.List[0].Source != "ssh_config" || p.List[1].Reason != "a user or port in a Host line" {
		t.Error(p)
	}
}

const inventoryINI = `gate ansible_host=192.0.2.1 ansible_user=ops ansible_port=2222 env=prod
[web]
web[1:3] ansible_ssh_private_key_file=~/.ssh/web
[web:vars]
ansible_host={{ inventory_hostname | lower }}.example.org
[db]
db1 ansible_password=hunter2 ansible_ssh_common_args='-J gate' ansible_ssh_user=dba ansible_user=other
[local]
here ansible_connection=local
`

func TestAnsible(t *testing.T) {
	path := put(t, "hosts", inventoryINI, "group_vars/db.yml", "tier: data\nlist: [1]\n")
	l := load(t, hosts.Options{Inventories: []string{path}, Patterns: []string{"all:!web:!local"}})
	want := []string{
		`ops@gate:2222 @192.0.2.1 ansible_host="192.0.2.1" ansible_port="2222" ansible_user="ops" env="prod"`,
		`dba@db1 ansible_ssh_common_args="-J gate" ansible_ssh_user="dba" ansible_user="other" list="[\"1\"]" tier="data"`,
	}
	if diff := cmp.Diff(want, told(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"ansible_password of 1 host not used"}, l.Notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"ProxyJump=gate"}, l.Entry(1).SSHOptions); diff != "" {
		t.Errorf("options of ssh (-want +got):\n%s", diff)
	}
	l = load(t, hosts.Options{Inventories: []string{path}, Hosts: []string{"GATE,root@gate,new"}, Exclude: []string{"x"}})
	if diff := cmp.Diff([]string{"ops@GATE:2222", "root@gate:2222", "new"}, namesOf(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := l.Entry(1).Address; got != "192.0.2.1" {
		t.Errorf("address of a host that -w names: %q", got)
	}
	if got := l.EntryOf(fleetTarget(4)).Address; got != "192.0.2.1" {
		t.Errorf("address of a repeated target: %q", got)
	}
	l = load(t, hosts.Options{Inventories: []string{path}, Hosts: []string{"@db"}})
	if diff := cmp.Diff([]string{"dba@db1"}, namesOf(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l = load(t, hosts.Options{Inventories: []string{path}, Exclude: []string{"web[1-3],here"}})
	if diff := cmp.Diff([]string{"ops@gate:2222", "dba@db1"}, namesOf(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnsibleProblems(t *testing.T) {
	path := put(t, "hosts", inventoryINI)
	p := problems(t, hosts.Options{Inventories: []string{path}})
	var got []string
	for _, problem := range p.List {
		got = append(got, fmt.Sprintf("%d %s", problem.Line, problem.Text+": "+problem.Reason))
	}
	template := `: ansible_host: the template "{{ inventory_hostname | lower }}.example.org" has more than {{ name }}, which is all that is evaluated`
	want := []string{"3 web1" + template, "3 web2" + template, "3 web3" + template, `9 here: its ansible_connection is "local", not SSH`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p = problems(t, hosts.Options{Inventories: []string{path}, Patterns: []string{"wbe"}})
	if p.Total != 1 || p.List[0].Source != "--limit" || p.List[0].Reason != `pattern "wbe" matches no host and no group` {
		t.Error(p)
	}
	for _, c := range []struct{ vars, reason string }{
		{"ansible_port=x", `port "x"`},
		{"ansible_user='a b'", `character ' ' in a user name`},
		{"ansible_host=-oProxyCommand=x", `address "-oProxyCommand=x": host name begins with '-'`},
		{"ansible_user='{% if %}'", `ansible_user: the template "{% if %}" has more than {{ name }}, which is all that is evaluated`},
	} {
		p := problems(t, hosts.Options{Inventories: []string{put(t, "hosts", "h "+c.vars+"\n")}})
		if p.Total != 1 || p.List[0].Reason != c.reason {
			t.Errorf("%s: %v", c.vars, p)
		}
	}
}

// A host of a group is not read as an expression: it would choose hosts outside the group.
func TestGroupChoosesNoOthers(t *testing.T) {
	path := put(t, "hosts.json", `{"_meta":{"hostvars":{}},"canary":{"hosts":["c1","x,db1"]},"db":{"hosts":["db1"]}}`)
	p := problems(t, hosts.Options{Inventories: []string{path}, Hosts: []string{"@canary"}})
	if p.Total != 1 || !strings.Contains(p.List[0].Reason, `the host "x,db1" of group "canary" cannot be named`) {
		t.Error(p)
	}
}

// A group means the same in a file of hosts to exclude as on the command line: that of the
// sources, before one of the machine's configuration.
func TestExcludedGroupInAFile(t *testing.T) {
	other := &groups.Static{Name: "other", Groups: []string{"g"}, Members: func(string) ([]string, bool) { return []string{"c"}, true }}
	for _, excluded := range []string{"@g", "a,b*"} {
		for _, where := range []string{excluded, "^" + write(t, excluded+"\n"), "-"} {
			l := load(t, hosts.Options{
				Files: []string{write(t, "[g]\na\nb\n[h]\nc\nd\n")}, Exclude: []string{where}, Groups: other, Stdin: strings.NewReader(excluded + "\n"),
			})
			if diff := cmp.Diff([]string{"c", "d"}, namesOf(l)); diff != "" {
				t.Errorf("-x %s, %s (-want +got):\n%s", excluded, where, diff)
			}
		}
	}
}
