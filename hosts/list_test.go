package hosts_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/fleet"
	"shoal/hosts"
)

func TestDuplicates(t *testing.T) {
	for _, c := range []struct {
		name    string
		opts    hosts.Options
		want    string
		notices []string
	}{
		{
			"default port written",
			hosts.Options{Hosts: []string{"a,a:22,a:23"}},
			"a a:23",
			[]string{"1 duplicate removed: a:22"},
		},
		{
			"port given",
			hosts.Options{Hosts: []string{"a,a:22,a:2222,[::1]"}, Port: 2222},
			"a:2222 a:22 [::1]:2222",
			[]string{"1 duplicate removed: a:2222"},
		},
		{
			"user given",
			hosts.Options{Hosts: []string{"a,root@a,bob@a"}, User: "root"},
			"a bob@a",
			[]string{"1 duplicate removed: root@a"},
		},
		{
			"user not given",
			hosts.Options{Hosts: []string{"a,root@a"}},
			"a root@a",
			nil,
		},
		{
			"case",
			hosts.Options{Hosts: []string{"Node1,node1,NODE1,Bob@node1,bob@node1"}},
			"Node1 Bob@node1 bob@node1",
			[]string{"2 duplicates removed: NODE1,node1"},
		},
		{
			"addresses",
			hosts.Options{Hosts: []string{"::1,0:0::1,[::1]:22,2001:DB8::a,2001:db8::A"}},
			"::1 2001:DB8::a",
			[]string{"3 duplicates removed: 0:0::1,2001:db8::A,[::1]:22"},
		},
		{
			"folded",
			hosts.Options{Hosts: []string{"node[1-9]", "node[3-9],node1"}},
			"node1 node2 node3 node4 node5 node6 node7 node8 node9",
			[]string{"8 duplicates removed: node[1,3-9]"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := load(t, c.opts)
			if diff := cmp.Diff(strings.Fields(c.want), namesOf(l)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.notices, l.Notices); diff != "" {
				t.Errorf("notices (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExclude(t *testing.T) {
	for _, c := range []struct {
		name    string
		opts    hosts.Options
		want    string
		notices []string
	}{
		{
			"by name, whatever user and port",
			hosts.Options{Hosts: []string{"a,root@a,A:2222,b"}, Exclude: []string{"a"}},
			"b",
			nil,
		},
		{
			"by user",
			hosts.Options{Hosts: []string{"a,root@a,bob@a"}, Exclude: []string{"root@a"}, User: "root"},
			"bob@a",
			nil,
		},
		{
			"by port",
			hosts.Options{Hosts: []string{"a,root@a,a:2222"}, Exclude: []string{"a:22"}},
			"a:2222",
			nil,
		},
		{
			"from a file and standard input",
			hosts.Options{
				Hosts: []string{"n[1-9]"}, Exclude: []string{"^" + write(t, "n[2-3]\n"), "-"},
				Stdin: strings.NewReader("n[5-9]\n"),
			},
			"n1 n4",
			nil,
		},
		{
			"not in the list",
			hosts.Options{Hosts: []string{"n[1-3]"}, Exclude: []string{"n[3-6],n5,x"}},
			"n1 n2",
			[]string{"4 excluded hosts are not in the list: n[4-6],x"},
		},
		{
			"one not in the list",
			hosts.Options{Hosts: []string{"n1"}, Exclude: []string{"bob@n1"}},
			"n1",
			[]string{"1 excluded host is not in the list: bob@n1"},
		},
		{
			"an excluded host is no duplicate",
			hosts.Options{Hosts: []string{"a,b,b"}, Exclude: []string{"b"}},
			"a",
			nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := load(t, c.opts)
			if diff := cmp.Diff(strings.Fields(c.want), namesOf(l)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.notices, l.Notices); diff != "" {
				t.Errorf("notices (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoticesAreBounded(t *testing.T) {
	l := load(t, hosts.Options{Hosts: []string{"n[1-200000/2],n[1-200000/3]", "n[1-200000/2],n[1-200000/3]"}})
	if len(l.Notices) != 1 || len(l.Notices[0]) > 300 || !strings.HasSuffix(l.Notices[0], "…") ||
		!strings.HasPrefix(l.Notices[0], "200001 duplicates removed: n[") {
		t.Errorf("%d notices: %.400q", len(l.Notices), l.Notices)
	}
}

func TestIncludeIsAComment(t *testing.T) {
	path := write(t, "a\n#include other\n#include more\n")
	l := load(t, hosts.Options{Files: []string{path}})
	want := []string{"2 #includes are comments here and not followed (name the files with --hostfile): " +
		path + `:2: "#include other"`}
	if diff := cmp.Diff(want, l.Notices); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTargets(t *testing.T) {
	l := hosts.ListOf(fleet.Host{Name: "a"}, fleet.Host{Name: "b"})
	for _, c := range []struct {
		repeat int
		want   string
	}{
		{-1, "a b"}, {0, "a b"}, {1, "a b"}, {3, "a b a b a b"},
	} {
		var got []string
		for target := range l.Targets(c.repeat) {
			if target.Index != len(got) {
				t.Errorf("repeat %d: index %d of target %d", c.repeat, target.Index, len(got))
			}
			got = append(got, target.Host.Name)
		}
		if diff := cmp.Diff(strings.Fields(c.want), got); diff != "" {
			t.Errorf("repeat %d (-want +got):\n%s", c.repeat, diff)
		}
	}
	for target := range l.Targets(1 << 40) {
		if target.Index == 3 {
			break
		}
	}
}
