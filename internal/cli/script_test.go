package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/fleet"
	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/record"
	"shoal/simfleet"
)

// hostileArgs are arguments that shells, or we, might change.
var hostileArgs = []string{
	"a  b", "", "{host}", "{attr.x|sh}", "it's", `"$HOME" $(id) ` + "`id`", `\n!x\`, "*", "~", "-n", "--", "=ls", "two\nlines\n", "\xff\x01", "ü", "#", "{a,b}", "%s",
}

const argsScript = `#!/bin/sh
for a; do printf '%s|' "$a"; done
cat
exit 9
`

func argsShown(input string) string { return strings.Join(hostileArgs, "|") + "|" + input }

// A script gets its arguments and its input as they are, ends with its own status, and runs
// again, in a rerun and a resumed run, only if it is what it was.
func TestScriptOnAFleet(t *testing.T) {
	t.Parallel()
	const hosts, input = 25, "in\x00put\n"
	_, dir := startFleet(t, simfleet.Options{Hosts: hosts, Seed: "script"})
	path := filepath.Join(dir, "a 'script' {host}.sh")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(argsScript)
	var out, errs bytes.Buffer
	shoal := func(stdin string, args ...string) int {
		out.Reset()
		errs.Reset()
		return cli.Main(t.Context(), pushArgs(dir, args...), console.Stdio{In: strings.NewReader(stdin), Out: &out, Err: &errs})
	}
	check := func(what string, ran int) {
		t.Helper()
		for e, err := range record.Read(&out) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Result == nil || e.Result.Outcome == fleet.OutcomeCancelled {
				continue
			}
			ran--
			if r := e.Result; r.Outcome != fleet.OutcomeFailed || r.Status != 9 || string(r.Stdout.Bytes) != argsShown(input) || r.Stderr.Size != 0 {
				t.Errorf("%s, %s: %v %d, %q, %q, %v", what, r.Target.Host, r.Outcome, r.Status, r.Stdout.Bytes, r.Stderr.Bytes, r.Err)
			}
		}
		if ran != 0 {
			t.Errorf("%s: %d results are missing\n%.2000s", what, ran, errs.String())
		}
	}
	script := func(flags ...string) {
		args := append([]string{"script", "--hostfile", filepath.Join(dir, "hosts"), "--json", "--stdin"}, flags...)
		shoal(input, append(append(args, path, "--"), hostileArgs...)...)
	}
	refused := func(what, stdin, want string, args ...string) {
		t.Helper()
		if code := shoal(stdin, args...); code != 2 || !strings.Contains(errs.String(), want) || out.Len() > 0 {
			t.Errorf("%s: exit code %d\n%s%s", what, code, out.String(), errs.String())
		}
	}
	script()
	check("script", hosts)
	shoal(input, "rerun", "--json", "--stdin", "last", "failed")
	check("rerun", hosts)
	refused("another input", "other", "the standard input is not that of the run", "rerun", "--json", "--stdin", "last", "failed")

	script("-f", "1", "--fail-fast")
	check("the first host", 1)
	resume := []string{"resume", "--past-brake", "--fail-fast=false", "--json", "--stdin", "last"}
	write(argsScript + "\n")
	refused("changed", input, "has changed since", resume...)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refused("gone", input, "cannot be read again", resume...)
	write(argsScript)
	shoal(input, resume...)
	check("resume", hosts-1)
}

// A real server runs a script, under every wrapper, and keeps nothing of it.
func TestScriptOnAServer(t *testing.T) {
	t.Parallel()
	f := newFarSide(t)
	path, in := filepath.Join(f.dir, "script"), filepath.Join(f.dir, "in")
	for name, text := range map[string]string{path: argsScript + strings.Repeat("# padding\n", 30_000), in: "input\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, flags := range [][]string{nil, {"--once", "--run-dir", f.marks}, {"--remote-timeout", "60", "--env", "A=b", "--chdir", "/", "--umask", "027"}} {
		args := append([]string{"script", "-w", f.host(), "-N", "--stdin-from", in}, flags...)
		code, stdout, stderr := f.shoal(t, append(append(args, path, "--"), hostileArgs...)...)
		expect(t, strings.Join(flags, " "), 1, code, stdout, stderr, "exit status 9")
		if !strings.Contains(stdout, "|two\nlines\n|") || !strings.HasSuffix(stdout, "|ü|#|{a,b}|%s|input\n") || !strings.HasPrefix(stdout, "a  b||{host}|{attr.x|sh}|it's|") {
			t.Errorf("%q: %q", flags, stdout)
		}
	}
}
