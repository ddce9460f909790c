package ansible_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/hosts/ansible"
	"shoal/hosts/internal/ordered"
	"shoal/hosts/internal/problem"
)

func TestNotices(t *testing.T) {
	s := sample{files: map[string]string{
		"hosts.yml":            "all: {hosts: {a: {'aws:tag': x, ok: 1, secret: !vault x}}, vars: {big: '" + strings.Repeat("x", ordered.MaxText+1) + "'}}\n",
		"group_vars/all/v.yml": "$ANSIBLE_VAULT;1.1;AES256\n00\n",
	}, sources: yamlSource}
	sources := s.write(t)
	var problems problem.Problems
	inv := ansible.Load(context.Background(), ansible.Options{Sources: sources}, &problems)
	if inv == nil {
		t.Fatal(problems.Error())
	}
	vault := strings.TrimSuffix(sources[0], "hosts.yml") + "group_vars/all/v.yml"
	want := []string{
		"1 encrypted files not read, such as " + vault,
		`2 variables left out, such as "aws:tag": character ':' in the attribute name "aws:tag"`,
	}
	if diff := cmp.Diff(want, inv.Notices); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	told := map[string]ansible.Value{}
	for name, v := range inv.Vars(inv.Host("a")) {
		told[name] = v
	}
	if diff := cmp.Diff(map[string]ansible.Value{"ok": {Text: "1", Kind: ordered.Number}, "secret": {Kind: ordered.Secret}}, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestOrder: hosts come in the order of the file.
func TestOrder(t *testing.T) {
	sources := sample{files: ini("z", "[b]", "y", "x", "[a]", "w", "x")}.write(t)
	var problems problem.Problems
	inv := ansible.Load(context.Background(), ansible.Options{Sources: sources}, &problems)
	var got []string
	for _, h := range inv.Hosts() {
		got = append(got, h.Name)
	}
	if diff := cmp.Diff(strings.Fields("z y x w"), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, inv.Groups(inv.Host("x"))); diff != "" {
		t.Errorf("groups of x (-want +got):\n%s", diff)
	}
}

// TestProblems: all mistakes of all files at once, each in its place.
func TestProblems(t *testing.T) {
	s := sample{
		files: map[string]string{
			"d/a":       "a b\n[x y]\n[g:things]\nc\n[g]\nh[3:1]\n[g:vars]\nnovalue\n[p:children]\nq\n",
			"d/b.yml":   "all:\n  host: {a: }\n  hosts: [a]\n  children: {c: 5}\n2: {}\nk: {hosts: {m: [1]}}\n",
			"d/c.toml":  "",
			"d/d.sh":    "#!/bin/sh\n",
			"d/e!":      "#!/bin/sh\nexit 1\n",
			"d/f.yml":   "plugin: aws_ec2\n",
			"d/g.yml":   "all: {hosts: {a: }, hosts: {b: }}\n",
			"d/h":       "loop\n[u:children]\nu\n",
			"d/i\x7f.b": "\x00\x01",
		}, sources: []string{"d"},
	}
	sources := s.write(t)
	var problems problem.Problems
	if inv := ansible.Load(context.Background(), ansible.Options{Sources: sources}, &problems); inv != nil {
		t.Fatal("an inventory in spite of problems")
	}
	var got []string
	for _, p := range problems.List {
		got = append(got, strings.ReplaceAll(p.String(), sources[0]+"/", ""))
		if p.Hint == "" {
			t.Errorf("no hint: %v", p)
		}
	}
	want := []string{
		`a:1: "a b": a second word without =`,
		`a:2: "[x y]": not a section`,
		`a:3: "[g:things]": a section of an unknown kind`,
		`a:6: "h[3:1]": range [3:1] ends before it begins`,
		`a:8: "novalue": not name=value`,
		`a:10: "q": no such group`,
		`b.yml:2: "host": not a part of a group`,
		`b.yml:3: "hosts": a list where a mapping is wanted`,
		`b.yml:4: "c": a group that is a number`,
		`b.yml:5: "2": a name that is a number`,
		`b.yml:6: "m": its variables are a list`,
		`c.toml: TOML inventories are not read`,
		`d.sh: a program that may not be executed`,
		`e: running it with --list: it ended with exit status 1`,
		`f.yml:1: the configuration of an inventory plugin`,
		`g.yml:1: key "hosts" stands in line 1 already`,
		`group u stands below itself`,
	}
	if len(got) == len(want)+1 { // the file whose name is quoted
		if !strings.HasSuffix(got[16], `i\x7f.b": not a text file`) {
			t.Errorf("%s", got[16])
		}
		got = append(got[:16], got[17:]...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
