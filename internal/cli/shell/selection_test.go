package shell

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
)

// A line that leaves out hosts whose names begin with w must not select others.
func TestChosen(t *testing.T) {
	for text, want := range map[string]string{
		"-web[4-6]": "- web[4-6]", "-w1": "- w1", "- w1": "- w1", "-w web[4-6]": "= web[4-6]", "-w 'a[1-2]'": "= a[1-2]", `-w"a"`: "= a",
		"-w": "= ", "-w\ta": "= a", "+web3": "+ web3", "@web": "= @web", "+w": "+ w",
	} {
		how, expression := chosen(text)
		if got := string(how) + " " + expression; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Wildcards mean all hosts of the shell, also those that no source knows.
func TestWildcardsMeanTheHostsOfTheShell(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte("web[1-2]\nother\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"-web*": "db1", "-w web?": "web1 web2 me@web3", "-web*!web3": "me@web3 db1", "-w 'w*,db1'": "web1 web2 me@web3 db1",
		"-w x*": "no host of this shell is meant by x*", "+web*,db2": "not among the hosts of this shell: db2",
	} {
		s := &shell{
			flags: &shellFlags{HostFlags: flags.HostFlags{Hostfiles: []string{file}}},
			stdio: console.Stdio{Err: new(strings.Builder)},
			base:  []fleet.Target{{Host: fleet.Host{Name: "web1"}}, {Host: fleet.Host{Name: "web2"}}, {Host: fleet.Host{Name: "web3", User: "me"}}, {Host: fleet.Host{Name: "db1"}}},
		}
		s.selectAll()
		err := s.choose(t.Context(), text)
		var names []string
		for _, i := range s.selected {
			names = append(names, s.base[i].Host.String())
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = fmt.Sprint(err)
		}
		if !strings.HasPrefix(got, want) || err == nil && got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
