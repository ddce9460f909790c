package cli_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/simfleet"
)

// A damaged run is named by history, the others are listed, and the exit code says so.
// faults.md: I13
func TestHistoryOfADamagedJournal(t *testing.T) {
	_, dir := startFleet(t, simfleet.Options{Hosts: 1})
	state := t.TempDir()
	shoal := func(args ...string) (int, string, string) {
		var out, errs strings.Builder
		args = append([]string{args[0], "--state-dir", state}, args[1:]...)
		code := cli.Main(t.Context(), args, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		return code, out.String(), errs.String()
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, command := range []string{"echo intact", "echo damaged"} {
		code, stdout, stderr := shoal("run", "--no-agent", "--known-hosts", in("kh"), "--identity", in("key"), "--hostfile", in("hosts"), command)
		expect(t, "run", 0, code, stdout, stderr)
	}
	code, stdout, stderr := shoal("history")
	expect(t, "history", 0, code, stdout, stderr, "echo intact", "echo damaged")
	db, err := sql.Open("sqlite", filepath.Join(state, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), `UPDATE runs SET options = '{' WHERE command = 'echo damaged'`); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"--json=false", "--json"} {
		code, stdout, stderr := shoal("history", form)
		expect(t, form, console.ExitUnknown, code, stdout, stderr, "echo intact", "damaged")
		if strings.Contains(stdout, "echo damaged") {
			t.Errorf("%s lists the damaged run: %s", form, stdout)
		}
	}
	code, stdout, stderr = shoal("history", "--command", "echo damaged")
	expect(t, "only it", console.ExitUnknown, code, stdout, stderr, "damaged")
	if strings.Contains(stderr, "no run is like that") {
		t.Errorf("a damaged run is none: %s", stderr)
	}
}
