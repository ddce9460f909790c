package hosts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/hosts"
	"shoal/hosts/groups"
)

// Every kind of source only says which hosts exist once something chooses from it.
func TestSourcesAreChosenFrom(t *testing.T) {
	file := write(t, "[web]\nweb[1-3] env=prod\nroot@web1:2222\n[db]\ndb[1-2] env=test\n")
	inventory := put(t, "hosts", "[web]\nweb[1:3] env=prod\n[db]\ndb[1:2] env=test\n")
	sources := map[string]hosts.Options{
		"a host file":  {Files: []string{file}},
		"a command":    {Commands: []string{"cat " + file}},
		"ssh_config":   {ConfigHosts: strings.Fields("web1 web2 web3 db1 db2")},
		"an inventory": {Inventories: []string{inventory}},
	}
	for name, source := range sources {
		hasGroups := name != "ssh_config"
		for _, c := range []struct {
			choose       func(o *hosts.Options)
			want, notice string
			groups, file bool // needs groups; a file has a second login of web1
		}{
			{choose: func(*hosts.Options) {}, want: "web1 web2 web3 db1 db2", file: true},
			{choose: func(o *hosts.Options) { o.Hosts = []string{"web1"} }, want: "web1", file: true},
			{choose: func(o *hosts.Options) { o.Hosts = []string{"web*!web1"} }, want: "web2 web3"},
			{choose: func(o *hosts.Options) { o.Hosts = []string{"@db"} }, want: "db1 db2", groups: true},
			{choose: func(o *hosts.Options) { o.Hosts, o.Exclude = []string{"@web"}, []string{"web[1-2]"} }, want: "web3", groups: true},
			{choose: func(o *hosts.Options) { o.Patterns = []string{"web2:web3"} }, want: "web2 web3"},
			{choose: func(o *hosts.Options) { o.Hosts, o.Patterns = []string{"web2,db1"}, []string{"web*"} }, want: "web2"},
			{choose: func(o *hosts.Options) { o.Hosts, o.Where = []string{"web2,db1"}, "env==test" }, want: "db1", groups: true},
			{choose: func(o *hosts.Options) { o.Hosts = []string{"DB2"} }, want: "DB2"},
			{choose: func(o *hosts.Options) { o.Hosts = []string{"me@db2:24,new"} }, want: "me@db2:24 new", notice: "1 host of -w not in the sources: new"},
		} {
			if c.groups && !hasGroups || c.file && (name == "a host file" || name == "a command") {
				continue
			}
			o := source
			c.choose(&o)
			l := load(t, o)
			if diff := cmp.Diff(strings.Fields(c.want), namesOf(l)); diff != "" {
				t.Errorf("%s, %+v (-want +got):\n%s", name, o, diff)
			}
			if got := strings.Join(l.Notices, "; "); got != c.notice {
				t.Errorf("%s, %+v: notices %q, want %q", name, o, got, c.notice)
			}
		}
	}
	for want, named := range map[string]string{"web1 root@web1:2222": "web1", "root@web1:2222": "root@web1", "me@web1 me@web1:2222": "me@web1"} {
		l := load(t, hosts.Options{Files: []string{file}, Hosts: []string{named}})
		if diff := cmp.Diff(strings.Fields(want), namesOf(l)); diff != "" || l.Notices != nil {
			t.Errorf("-w %s (-want +got):\n%s\n%q", named, diff, l.Notices)
		}
		if env, _ := l.Entry(0).Attrs.Attr("env"); named == "web1" && env != "prod" {
			t.Errorf("-w %s: env is %q", named, env)
		}
	}
}

func TestNothingIsLeft(t *testing.T) {
	file := write(t, "web1\n")
	p := problems(t, hosts.Options{Files: []string{file}, Hosts: []string{"db1"}, Patterns: []string{"web1"}})
	if p.Total != 1 || !strings.Contains(p.List[0].Reason, "chooses none of those that -w names") {
		t.Error(p)
	}
	dir := filepath.Dir(put(t, "inv/hosts.ini", "[web]\nweb1\n"))
	p = problems(t, hosts.Options{Inventories: []string{dir}})
	if p.Total != 1 || !strings.Contains(p.List[0].Reason, "hosts.ini") || p.List[0].Hint != "name the file itself: -i "+filepath.Join(dir, "hosts.ini") {
		t.Error(p)
	}
}

func TestLimitFile(t *testing.T) {
	file, retry := write(t, "web[1-5]\n"), write(t, "web2\r\n\n# web3\nweb4\n")
	l := load(t, hosts.Options{Files: []string{file}, Patterns: []string{"@" + retry, "!web4"}})
	if diff := cmp.Diff([]string{"web2"}, namesOf(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for path, reason := range map[string]string{write(t, "\n"): "the file names no hosts", "nowhere": "reading hosts: open nowhere: no such file or directory"} {
		p := problems(t, hosts.Options{Files: []string{file}, Patterns: []string{"@" + path}})
		if p.Total != 1 || p.List[0].Reason != reason {
			t.Errorf("%s: %v", path, p)
		}
	}
}

// The layout of many repositories; ansible-inventory gives these values.
func TestVariablesOfTheWorkingDirectory(t *testing.T) {
	path := put(t, "inventories/prod/hosts", "[web]\nweb1\nweb2 ansible_host=own\n",
		"inventories/prod/group_vars/all.yml", "ansible_user: beside\nansible_port: 22\n",
		"inventories/prod/group_vars/web.yml", "ansible_port: 2222\n",
		"group_vars/all.yml", "ansible_user: deploy\nansible_port: 23\n", "host_vars/web1.yml", "ansible_host: 10.9.9.9\n")
	dir := filepath.Dir(filepath.Dir(filepath.Dir(path)))
	got := []string{}
	for _, dir := range []string{dir, ""} {
		l := load(t, hosts.Options{Inventories: []string{path}, VarsDir: dir})
		for i := range l.Len() {
			got = append(got, l.Host(i).String()+" "+l.Entry(i).Address)
		}
	}
	want := []string{"deploy@web1:2222 10.9.9.9", "deploy@web2:2222 own", "beside@web1:2222 ", "beside@web2:2222 own"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSSHArguments(t *testing.T) {
	for args, want := range map[string]string{
		"-o ProxyJump=me@bastion":       "ProxyJump=me@bastion",
		"-J bastion -p2222 -4 -CAq":     "ProxyJump=bastion Port=2222 AddressFamily=inet Compression=yes ForwardAgent=yes LogLevel=QUIET",
		`-oProxyCommand="nc %h %p" -vT`: "ProxyCommand=nc %h %p LogLevel=DEBUG RequestTTY=no",
		`-i ~/k -o 'User me'`:           "IdentityFile=~/k User me",
		"-J {{ gate }}":                 "ProxyJump=gate.example.org",
	} {
		path := put(t, "hosts", "all:\n  hosts:\n    h:\n      gate: '{{ gate_name }}.example.org'\n      gate_name: gate\n      ansible_ssh_common_args: |-\n        "+args+"\n")
		l := load(t, hosts.Options{Inventories: []string{path}})
		if got := strings.Join(l.Entry(0).SSHOptions, " "); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	path := put(t, "hosts", `h ansible_ssh_common_args="-i keys/id -o 'UserKnownHostsFile kh ~/kh /kh' -o IdentityAgent=none"`)
	want := []string{"IdentityFile=" + here + "/keys/id", "UserKnownHostsFile=" + here + "/kh ~/kh /kh", "IdentityAgent=none"}
	if diff := cmp.Diff(want, load(t, hosts.Options{Inventories: []string{path}}).Entry(0).SSHOptions); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	path = put(t, "hosts", `h ansible_ssh_args="-o A=1" ansible_ssh_extra_args="-o C=3" ansible_ssh_common_args="-o B=2"`)
	if got := strings.Join(load(t, hosts.Options{Inventories: []string{path}}).Entry(0).SSHOptions, " "); got != "A=1 B=2 C=3" {
		t.Errorf("order: %q", got)
	}
	for args, reason := range map[string]string{
		"-F other":                    "ssh's option -F is not taken",
		"-L 1:a:2":                    "ssh's option -L is not taken",
		"-J":                          "ssh's option -J has no value",
		"host":                        `"host" is no option of ssh`,
		"-o 'a":                       "quote ' is not closed",
		"--pw {{ ansible_password }}": `the template "--pw {{ ansible_password }}" names ansible_password, a secret`,
		"-J {{ x }}":                  `the template "-J {{ x }}" names x, which is not set for this host`,
	} {
		path := put(t, "hosts", "h ansible_password=x ansible_ssh_common_args=\""+args+"\"\n")
		p := problems(t, hosts.Options{Inventories: []string{path}})
		if p.Total != 1 || p.List[0].Reason != "ansible_ssh_common_args: "+reason {
			t.Errorf("%s: %v", args, p)
		}
	}
}

// Templates that name templates that stand for nothing, many times each, are refused in time.
func TestTemplatesMultiply(t *testing.T) {
	text := "h ansible_host={{v12}} v0=\n[all:vars]\n"
	for i := range 12 {
		text += fmt.Sprintf("v%d=%s\n", i+1, strings.Repeat(fmt.Sprintf("{{v%d}}", i), 10))
	}
	_, err := hosts.Load(hosts.Options{Inventories: []string{put(t, "hosts", text)}})
	if err == nil || !strings.Contains(err.Error(), "never ends") {
		t.Error(err)
	}
}

func TestUserInAnInventorysName(t *testing.T) {
	path := put(t, "hosts", "[gate]\nec2-user@10.0.0.5\nroot@db ansible_user=dba\n")
	for _, o := range []hosts.Options{{}, {Hosts: []string{"@gate"}}, {Hosts: []string{"10.0.0.5,db"}}, {Patterns: []string{"gate"}}} {
		o.Inventories = []string{path}
		l := load(t, o)
		if diff := cmp.Diff([]string{"ec2-user@10.0.0.5", "dba@db"}, namesOf(l)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", o, diff)
		}
	}
}

// Symbolic links that make a directory a part of itself are named, and not followed for ever.
func TestLinkedDirectories(t *testing.T) {
	for _, below := range []string{"", "group_vars/all"} {
		dir := t.TempDir()
		inside := filepath.Join(dir, below)
		if err := os.MkdirAll(inside, 0o700); err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			if err := os.Symlink(inside, filepath.Join(inside, fmt.Sprintf("link%d", i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "hosts"), []byte("h\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if p := problems(t, hosts.Options{Inventories: []string{dir}}); p.Total != 8 || p.List[0].Reason != "a directory inside itself" {
			t.Errorf("%q: %v", below, p)
		}
	}
}

// What is excluded is left out, however it is named and whoever names it.
func TestExcludedHowever(t *testing.T) {
	lines := write(t, "[maint]\n{\"host\":\"web1\"}\nweb9\n[other]\nweb[2-3]\n")
	two := write(t, "web[1-2]\ndb1\n")
	inventory := put(t, "hosts", "[maint]\nops@web1\n2001:db8::1\n[web]\nweb2\n")
	for name, c := range map[string]struct {
		o       hosts.Options
		want    string
		notices string
	}{
		"a line of JSON below a header, -x":        {o: hosts.Options{Files: []string{lines}, Exclude: []string{"@maint"}}, want: "web2 web3"},
		"a line of JSON below a header, --limit !": {o: hosts.Options{Files: []string{lines}, Patterns: []string{"all:!maint"}}, want: "web2 web3"},
		"a line of JSON below a header, --limit":   {o: hosts.Options{Files: []string{lines}, Patterns: []string{"maint"}}, want: "web1 web9"},
		"a wildcard, of which no source knows all hosts": {
			o: hosts.Options{Hosts: []string{"web[1-5],me@WEB6,foo"}, Files: []string{two}, Exclude: []string{"web*"}}, want: "foo",
			notices: "5 hosts of -w not in the sources: foo,me@WEB6,web[3-5]",
		},
		"a wildcard without a source": {o: hosts.Options{Hosts: []string{"web[1-5],foo"}, Exclude: []string{"web?!web5"}}, want: "web5 foo"},
		"a wildcard and a configuration of groups without a source": {
			o: hosts.Options{Hosts: []string{"web[1-5],foo"}, Exclude: []string{"web*"}, Groups: groups.New(t.Context(), groups.Options{})}, want: "foo",
		},
		"a wildcard in a file":               {o: hosts.Options{Hosts: []string{"web[1-5],foo"}, Exclude: []string{"^" + write(t, "web*\n")}}, want: "foo"},
		"a host of an inventory with a user": {o: hosts.Options{Hosts: []string{"web[1-2]"}, Inventories: []string{inventory}, Patterns: []string{"*:!maint"}}, want: "web2"},
		"that user and host":                 {o: hosts.Options{Hosts: []string{"ops@web1,web2"}, Inventories: []string{inventory}, Patterns: []string{"*:!maint"}}, want: "web2"},
		"an address written otherwise":       {o: hosts.Options{Hosts: []string{"2001:db8:0::1,web2"}, Inventories: []string{inventory}, Patterns: []string{"*:!maint"}}, want: "web2"},
		"an address written otherwise in a file": {
			o: hosts.Options{Files: []string{write(t, "2001:db8:0::1\nweb2\n")}, Inventories: []string{inventory}, Patterns: []string{"*:!maint"}}, want: "web2",
		},
		"a host of -w that the inventory does not know": {
			o: hosts.Options{Hosts: []string{"web2,new"}, Inventories: []string{inventory}, Patterns: []string{"!maint"}}, want: "web2 new",
			notices: "1 host of -w not in the sources: new",
		},
		"a host of a file that the inventory does not know": {
			o: hosts.Options{Files: []string{write(t, "new\n")}, Inventories: []string{inventory}, Patterns: []string{"all:!maint"}}, want: "new web2",
		},
		"a wildcard and a host of an inventory with a user": {
			o: hosts.Options{Inventories: []string{inventory}, Exclude: []string{"w*"}}, want: "2001:db8::1",
		},
		"a wildcard behind a user": {
			o: hosts.Options{Hosts: []string{"root@web[1-2],me@web3"}, Exclude: []string{"root@web*"}}, want: "me@web3",
		},
		"a wildcard behind a user, of a file": {
			o: hosts.Options{Files: []string{write(t, "root@web[1-2]\nme@web3\n")}, Exclude: []string{"root@*"}}, want: "me@web3",
		},
		"a host of a file that the inventory has with a user": {
			o: hosts.Options{Files: []string{two}, Inventories: []string{inventory}, Patterns: []string{"all:!maint"}}, want: "web2 db1",
		},
		"a pattern that has the name without the user": {
			o: hosts.Options{Hosts: []string{"web[1-2]"}, Inventories: []string{inventory}, Patterns: []string{"web?"}}, want: "ops@web1 web2",
		},
		"a pattern that has another host without the user": {
			o: hosts.Options{
				Hosts: []string{"ops@web1,web1"}, Inventories: []string{put(t, "hosts", "ops@web1\nweb1\n")}, Patterns: []string{"web1"},
			}, want: "web1",
		},
		"another case":             {o: hosts.Options{Hosts: []string{"WEB2"}, Inventories: []string{inventory}, Patterns: []string{"web"}}, want: "WEB2"},
		"behind ! in another case": {o: hosts.Options{Hosts: []string{"web[1-2]!WEB1"}}, want: "web2"},
		"no host of a file of exclusions": {
			o: hosts.Options{Files: []string{two}, Hosts: []string{"*"}, Exclude: []string{"^" + write(t, "[gone]\nroot@old\n")}}, want: "db1 web1 web2",
			notices: "1 excluded host is not in the list: root@old",
		},
	} {
		l := load(t, c.o)
		if diff := cmp.Diff(strings.Fields(c.want), namesOf(l)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got := strings.Join(l.Notices, "; "); got != c.notices {
			t.Errorf("%s: notices %q, want %q", name, got, c.notices)
		}
	}
}
