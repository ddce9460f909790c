package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/internal/needs"
	"shoal/internal/sshdtest"
)

// mounted returns a far side whose server sees what setup mounts. Its $0 is a directory, which the
// test sees too, but for what is mounted there.
func mounted(t *testing.T, setup string, opts ...sshdtest.Option) (f *farSide, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount something")
	}
	dir = t.TempDir()
	below := []string{needs.Program(t, "unshare"), "--mount", "sh", "-c", "set -e; " + setup + `; exec "$@"`, dir}
	return newFarSide(t, append(opts, sshdtest.WithBelow(below...))...), dir
}

// Hosts that are not what one expects: each refuses with a reason and a sentence of help, keeps the
// old file and has nothing left of the new one; or does what was asked.
func TestHostsThatAreNotClean(t *testing.T) {
	t.Parallel()
	local := t.TempDir()
	if err := os.MkdirAll(filepath.Join(local, "tree", "m"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"src": "new\n", "script": "#!/bin/sh\necho ran $(id -u)\n", "tree/f": "tree\n", "tree/m/f": "m\n"} {
		if err := os.WriteFile(filepath.Join(local, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	remount := func(how string) string {
		return `for d in /tmp /var/tmp "$HOME"; do mount --bind "$d" "$d"; mount -o remount,bind,` + how + ` "$d"; done`
	}
	type try struct {
		args string // in which $0 is the directory, and $1 has what is sent
		code int
		want []string
	}
	for name, c := range map[string]struct {
		setup string
		tries []try
	}{
		"mounted file": {`echo old >"$0/old"; mount --bind "$0/old" "$0/f"`, []try{
			{"push $1/src $0/f", 1, []string{"busy: ", "can be written with --in-place"}},
			{"push --via sftp $1/src $0/f", 1, []string{"no_atomic_replace: ", "--in-place writes into it"}},
			{"run cat $0/f", 0, []string{": old\n"}},
			{"push --via sftp --in-place $1/src $0/f", 0, []string{"written in place: 4 bytes"}},
			{"push --in-place $1/src $0/f", 0, []string{"the same already"}},
			{"run ls -A $0", 0, []string{": f\n", ": old\n"}},
		}},
		// A mv that would have to copy, under the file's own name, is an error here.
		"other file systems": {`cp "$(command -v mv)" "$0/real"; ` +
			`printf "%s\n" "#!/bin/sh" "[ \"\$1\" != -f ] || shift" "[ \"\$(stat -c %d \"\$1\")\" = \"\$(stat -c %d \"\${2%/*}\")\" ] || exit 9" "exec $0/real -f \"\$1\" \"\$2\"" >"$0/mv"; chmod 755 "$0/mv"; ` +
			`mount --bind "$0/mv" "$(readlink -f "$(command -v mv)")"; ` +
			`mkdir -p "$0/m" "$0/t/tree/m"; mount -t tmpfs none "$0/m"; mount -t tmpfs none "$0/t/tree/m"; echo old >"$0/m/f"; ln -s "$0/m/f" "$0/l"`, []try{
			{"run mv $0/f $0/m/g", 1, []string{"exit status 9"}},
			{"push --backup $1/src $0/l", 0, []string{"written: 4 bytes"}},
			{"push $1/src $0/m/", 0, []string{"written: 4 bytes"}},
			{"push $1/tree $0/t", 0, []string{"written: 2, the same already: 0"}},
			{"push --via sftp $1/script $0/l", 0, []string{"written: "}},
			{"push --via sftp $1/script $0/t/tree/m/f", 0, []string{"written: "}},
			{"run cat $0/m/f~ $0/m/src $0/t/tree/f", 0, []string{": old\n", ": new\n", ": tree\n"}},
			{"run ls -A $0/m $0/t $0/t/tree $0/t/tree/m", 0, []string{": f~\n"}},
		}},
		"read-only": {`mkdir "$0/ro"; mount -t tmpfs none "$0/ro"; echo old >"$0/ro/f"; mount -o remount,ro "$0/ro"`, []try{
			{"push $1/src $0/ro/f", 1, []string{"read_only: ", "mount it for writing"}},
			{"push --in-place $1/src $0/ro/f", 1, []string{"read_only: "}},
			{"push --parents $1/src $0/ro/sub/", 1, []string{"read_only: "}},
			{"push --via sftp $1/src $0/ro/f", 1, []string{"read_only: ", "mount it for writing"}},
			{"push --via sftp --in-place $1/src $0/ro/f", 1, []string{"read_only: "}},
			{"push --via sftp --parents $1/src $0/ro/sub/", 1, []string{"read_only: "}},
			{"run cat $0/ro/f", 0, []string{": old\n"}},
		}},
		"noexec": {remount("noexec"), []try{
			{"script $1/script", 0, []string{": ran 0\n"}},
			{"script /bin/true", 3, []string{"wrap_refused", "files cannot be executed where it was stored", "mounted noexec: set TMPDIR"}},
		}},
		"read-only root": {remount("ro"), []try{
			{"run echo hi", 0, []string{": hi\n"}},
			{"script $1/script", 3, []string{"the command did not run", "no directory there takes the file", "set TMPDIR there"}},
			{"run --once echo hi", 3, []string{"the command did not run", "name another, such as"}},
			{"push $1/src f", 1, []string{"read_only: "}},
			{"push --via sftp $1/src f", 1, []string{"read_only: "}},
		}},
		"no home": {`sed "s#:$HOME:#:/nonexistent:#" /etc/passwd >"$0/passwd"; mount --bind "$0/passwd" /etc/passwd`, []try{
			{"run --once --run-dir $0/marks echo hi", 0, []string{": hi\n"}},
			{"script $1/script", 0, []string{": ran 0\n"}},
			{"push $1/src f", 1, []string{"no_parent: ", "account's home, which does not exist", "the whole path"}},
			{"pull --gather f", 1, []string{"no_parent", "the whole path"}},
			{"push $1/src $0/f", 0, []string{"written: 4 bytes"}},
			{"pull --gather $0/f", 0, []string{"new\n"}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := []string{"Subsystem sftp internal-sftp"}
			if name == "no home" {
				config = append(config, "SetEnv HOME=/nonexistent")
			}
			f, dir := mounted(t, `export HOME="$(getent passwd "$(id -u)" | cut -d: -f6)"; echo old >"$0/f"; `+c.setup, sshdtest.WithConfig(config...))
			for _, try := range c.tries {
				args := strings.Fields(strings.NewReplacer("$0", dir, "$1", local).Replace(try.args))
				args = append([]string{args[0], "-w", f.host(), "--attempts", "1"}, args[1:]...)
				code, stdout, stderr := f.shoal(t, args...)
				expect(t, try.args, try.code, code, stdout, stderr, try.want...)
				if strings.Contains(stdout, ".shoal-push") {
					t.Errorf("%s: something is left: %s", try.args, stdout)
				}
			}
		})
	}
}

// A host whose login shell is no POSIX sh, as that of Windows, says so, and gets files by SFTP.
func TestHostWithoutSh(t *testing.T) {
	t.Parallel()
	server := needs.Program(t, "/usr/lib/openssh/sftp-server")
	shell := filepath.Join(t.TempDir(), "cmd")
	text := "#!/bin/sh\ncase $SSH_ORIGINAL_COMMAND in " + server + ") exec " + server + ";; esac\n" +
		"echo \"'${SSH_ORIGINAL_COMMAND%% *}' is no internal or external command,\" >&2\nexit 1\n"
	if err := os.WriteFile(shell, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	f := newFarSide(t, sshdtest.WithForceCommand(shell), sshdtest.WithConfig("Subsystem sftp "+server))
	src := filepath.Join(t.TempDir(), "src")
	if err := os.WriteFile(src, []byte("new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		args []string
		want []string
	}{
		{4, []string{"push", src, f.dir + "/f"}, []string{"no_receipt", "unless --via sftp", "is no internal or external command"}},
		{1, []string{"pull", "--gather", src}, []string{"--via sftp"}},
		{0, []string{"push", "--via", "auto", src, f.dir + "/f"}, []string{"written: 4 bytes"}},
		{0, []string{"pull", "--via", "auto", "--gather", f.dir + "/f"}, []string{"new\n"}},
		{2, []string{"push", "--via", "sftp", src, `C:\Users\ada\f`}, []string{"begins with a drive", "/C:/Users/ada"}},
		{2, []string{"pull", "--via", "sftp", "--gather", "c:/f"}, []string{"begins with a drive"}},
		{1, []string{"push", "--via", "sftp", src, "/C:/Users/ada/f"}, []string{"no_parent"}},
	} {
		code, stdout, stderr := f.shoal(t, append([]string{c.args[0], "-w", f.host(), "--attempts", "1"}, c.args[1:]...)...)
		expect(t, strings.Join(c.args, " "), c.code, code, stdout, stderr, c.want...)
	}
}
