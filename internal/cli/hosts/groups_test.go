package hosts

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shoal/hosts/expr"
	"shoal/internal/cli/console"
	"shoal/internal/needs"
)

// scriptGroups are the groups of one source, the same as in the file
// groupsFile.
type scriptGroups map[string]string

func (g scriptGroups) Group(_, name string) (string, error) { return g[name], nil }
func (g scriptGroups) Names(string) ([]string, error)       { return slices.Collect(maps.Keys(g)), nil }
func (g scriptGroups) All(string) (string, error)           { return "", errors.ErrUnsupported }

const groupsConf = `[Main]
default: local
[local]
map: sed -n 's/^$GROUP: //p' $CFGDIR/groups
list: sed -n 's/^\([^:]*\): .*/\1/p' $CFGDIR/groups
`

// TestListsGroupsAsNodeset runs both programs with the same groups.
func TestListsGroupsAsNodeset(t *testing.T) {
	groups := scriptGroups{"web": "web[1-9]", "db": "db1,@spare", "spare": "n5,n[7-9]", "r1": "r1n[1-2],web3"}
	dir := t.TempDir()
	var file strings.Builder
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		file.WriteString(name + ": " + groups[name] + "\n")
	}
	for name, text := range map[string]string{"groups.conf": groupsConf, "groups": file.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"-l"},
		{"-ll"},
		{"-lll"},
		{"-l", "web3"},
		{"-ll", "web[3-5],n[5-8]"},
		{"-lll", "web[3-5],n[5-8],x"},
		{"-l", "x"},
		{"-ll", "-a", "-x", "web[1-9]"},
		{"-l", "-s", "local"},
		{"-lll", "-s", "local", "n9"},
		{"-f", "-a"},
		{"-c", "-a", "-i", "@spare"},
		{"-e", "@r1!web*"},
	} {
		peer := exec.CommandContext(t.Context(), needs.Program(t, "/usr/bin/nodeset"), append([]string{"--groupsconf=" + dir + "/groups.conf"}, args...)...)
		want, err := peer.Output()
		if err != nil {
			t.Fatalf("nodeset %q: %v", args, err)
		}
		got, err := hostsWith(groups, args)
		if err != nil || got != string(want) {
			t.Errorf("shoal hosts %q: %q, %v; nodeset says %q", args, got, err, want)
		}
	}
}

// hostsWith runs shoal hosts with these groups.
func hostsWith(groups expr.Groups, args []string) (string, error) {
	var out bytes.Buffer
	cmd := newHostsWith(console.Stdio{In: strings.NewReader(""), Out: &out, Err: &out}, groups)
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}
