package cli_test

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/needs"
)

// nodeset is ClusterShell's program.
const nodeset = "/usr/bin/nodeset"

// TestHostsAsNodeset runs both programs with the same command line and input.
func TestHostsAsNodeset(t *testing.T) {
	const stdin = "n[1-3] x # n9\n\nn7,y\n"
	for _, args := range [][]string{
		{"-f", "n1", "n2", "n4"},
		{"-f"},
		{"-f", "-"},
		{"-e", "n[08-11]", "m1"},
		{"-e", "-S", `\n`, "r[1-2]n[1-3]"},
		{"-c", "r[1-2]n[1-3],x"},
		{"-f", "n[1-9]", "-x", "n3", "-i", "n[2-5]", "x"},
		{"-f", "n[1-9]", "-X", "n[5-12]"},
		{"-c", "n[1-9]", "-x", "-"},
		{"-f", "-x", "n2"},
		{"-c", "-i", "n[1-2]", "-X", "n5"},
		{"-f", "--split=3", "n[1-10]"},
		{"-f", "--split=30", "n[1-3]"},
		{"-c", "--split=4", "n[1-6]"},
		{"-f", "-I", "1-3", "n[1-10]"},
		{"-f", "-I", "0,2,50", "a1,n[1-4]"},
		{"-e", "--pick=9", "n[1-3]"},
		{"-c", "--pick=2", "n[1-30]"},
		{"-f", "-R", "1-5", "7", "-x", "3"},
		{"-e", "-R", "08-10"},
		{"-f", "n[1-5]!n2&n[2-9]^x"},
		{"-f", "a\nb\nn[1-2]"},
		{"-f", ""},
		{"-c", "a", "-x", "a"},
		{"-f", "--split=2", "a", "-x", "a"},
	} {
		line := strings.Join(args, " ")
		peer := exec.CommandContext(t.Context(), needs.Program(t, nodeset), args...)
		peer.Stdin = strings.NewReader(stdin)
		want, err := peer.Output()
		if err != nil {
			t.Fatalf("nodeset %s: %v", line, err)
		}
		var out, complaints bytes.Buffer
		code := cli.Main(t.Context(), append([]string{"hosts"}, args...),
			console.Stdio{In: strings.NewReader(stdin), Out: &out, Err: &complaints})
		if code != 0 || out.String() != string(want) {
			t.Errorf("shoal hosts %s: exit code %d, %q, %s; nodeset says %q", line, code, out.String(), &complaints, want)
		}
	}
}
