package posix

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"shoal/internal/needs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newHost(t testing.TB) *Host {
	t.Helper()
	h := New(Config{
		Name: "127.1.0.1", BootID: "5b0e0b5e-0000-4000-8000-000000000001", Boot: time.Now().Add(-time.Hour), Size: 1 << 20,
		Random: func() io.Reader { return strings.NewReader("not so random") },
	})
	t.Cleanup(func() {
		h.Kill()
		h.Wait()
	})
	return h
}

type outcome struct {
	stdout, stderr string
	status         int
}

func (h *Host) run(t testing.TB, line, stdin string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	s := h.Start(h.Login("ada"), line, 0, Streams{Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr})
	<-s.Done()
	out, err := s.Closed()
	<-out
	<-err
	code, signal := s.Exit()
	status := int(code)
	if signal != "" {
		status = 128 + signalNumber(signal)
	}
	return outcome{stdout.String(), stderr.String(), status}
}

// lines mean the same to dash.
var lines = []string{
	"echo a; echo b", "echo 'a  b' \"c  $x d\" e\\ f", "x=1; echo $x ${x} ${y:-z} ${y-} ${x:+yes} ${y+no}", "x='a b  c'; echo $x; echo \"$x\"",
	"set -- a 'b c' d; echo $# \"$@\" $*; for i in \"$@\"; do echo \"<$i>\"; done; for i; do echo $i; done",
	"set -- a 'b c'; for i in $@; do echo \"<$i>\"; done; for i in \"x$@y\"; do echo \"<$i>\"; done; set --; for i in \"$@\"; do echo never; done",
	"set -- 1 2 3 4 5 6 7 8 9 10 11 12; echo ${11} $1 ${12}; shift 3; echo $1 $#",
	"if false; then echo a; elif true; then echo b; else echo c; fi", "if false; then echo a; fi; echo $?", "false || echo b && echo c; ! true; echo $?",
	"i=0; while [ $i -lt 5 ]; do i=$((i+1)); [ $i = 2 ] && continue; [ $i = 4 ] && break; echo $i; done; echo done $i",
	"for i in 1 2; do for j in 1 2; do [ $j = 2 ] && continue 2; echo $i$j; done; done", "until true; do echo never; done; echo $?",
	"case abc in x) echo x;; a*|b) echo ab;; *) echo other;; esac; case '*' in '*') echo star;; esac; case a in [!b]) echo nb;; esac",
	"f() { echo in $1 $#; return 3; }; f a b; echo $?; f() (echo sub); f", "f() { local x=2; y=3; echo $x; }; x=1; f; echo $x $y",
	"echo $((1+2*3)) $((7/2)) $((7%3)) $((1<2)) $((-3)) $((x=5)) $x $((x+=2)) $((x>6?1:0)) $((0x10)) $((010)) $((!0)) $((~1)) $((1&&2)) $((0&&1)) $((0||3)) $((0||0))",
	"x=abc/def/ghi.txt; echo ${x#*/} ${x##*/} ${x%/*} ${x%%/*} ${x%.txt} ${#x} \"${x#\"abc/\"}\"", "x='a) b) c'; echo \"${x##*\") \"}\"",
	"echo `echo back` $(echo sub; echo two) \"$(echo 'a  b')\"; x=$(false); echo $?; echo $(exit 3); echo $?",
	"echo a | cat; echo a | tr a b | cat -; false | true; echo $?; true | false; echo $?", "echo one; (echo sub; exit 4); echo $?", "{ echo a; echo b; } | wc -l",
	"cat <<E\nhi $((1+1)) `echo x` \\$y\nE\ncat <<'E'\nraw $x `y`\nE\ncat <<-E\n\ttabs\n\tgone\nE", "cat <<E; echo after\nbody\nE",
	"echo err >&2; echo out 2>/dev/null", "echo a >f; cat <f; echo b >>f; cat f; : >f; wc -c <f", "exec 3>f; echo x >&3; exec 3>&-; cat f", "{ echo a; echo b >&2; } 2>&1 >/dev/null",
	"exec 3<f 2>/dev/null; echo not here; echo $?", "echo x >f; read a <f; echo $a; echo 'a b  c d' | { read x y; echo \"$x|$y\"; }", "printf 'a\\\\tb\\n' | { read x; echo \"$x\"; }; printf 'a\\\\tb\\n' | { read -r x; printf '%s|' \"$x\"; }",
	"printf 'x' | { read x; echo $? $x; }; read x </dev/null; echo $?", "IFS=:; x=a:b::c; set -- $x; echo $# \"$3\"; echo \"$*\"", "echo a:b:c | { IFS=: read x y; echo $x $y; }",
	"mkdir d; cd d; pwd | sed 's#.*/##'; touch a b .c; echo *; echo .*c; echo [a]; echo z*; cd ..; echo d/*; rm -r d", "mkdir -p a/b/c; ls a; rmdir a/b/c; ls a/b; rm -rf a; [ -e a ]; echo $?",
	"ln -s target l; readlink l; [ -L l ]; echo $?; [ -e l ]; echo $?; ln -s x l; echo $?; rm l", "echo x >f; chmod 600 f; ls -l f | cut -c1-10; chmod +t f; [ -k f ]; echo $?; chmod u+x,g=r f; ls -l f | cut -c1-10",
	"umask; umask 077; umask; mkdir m; ls -ld m | cut -c1-10; touch n; ls -l n | cut -c1-10", "[ a = a ] && [ a != b ] && [ 1 -lt 2 ] && [ -n x ] && [ -z '' ] && [ ! -e nope ] && echo all",
	"[ '(' = '(' ]; echo $?; [ ]; echo $?; [ x -a '' ]; echo $?; [ '' -o x ]; echo $?; test ! x; echo $?; [ -d . -a -d / ]; echo $?",
	"trap 'echo bye' EXIT; echo hi", "trap 'echo usr1' USR1; kill -USR1 $$; echo after", "trap '' TERM; kill $$; echo alive; trap - TERM; kill $$; echo dead", "trap 'exit 5' TERM; kill $$; echo never",
	"sh -c 'kill -9 $$' 2>/dev/null; echo $?", "kill -0 $$; echo $?; kill -0 999999 2>/dev/null; echo $?", "sleep 100 & kill $!; wait $!; echo $?", "(exit 7) & wait $!; echo $?; wait; echo $?; wait 999999; echo $?",
	"(sleep 0; exit 3) & p=$!; wait $p; echo $?",
	"exec echo replaced; echo never", "exec sh -c 'echo $0 $1' a b", "sh -c 'echo $0 $# $1' n 1 2", "eval 'x=5; echo $x'; eval; echo $?", "echo 'echo sourced $1; return 4' >s; . ./s; echo $?; sh s arg",
	"export A=1; B=2; sh -c 'echo $A $B'; C=3 sh -c 'echo $C'; echo [$C]; env -i sh -c 'echo [$A]'; A=5 env | grep ^A=", "unset HOME; echo [$HOME]; x=1; unset x; echo ${x-unset}", "readonly r=1; (r=2; echo never) 2>/dev/null; echo $?; echo $r",
	"set -e; false || true; echo a; if false; then :; fi; ! true; echo b; (false); echo never", "set -u; echo ${x-}; (echo $x) 2>/dev/null; echo $?; (echo ${x?gone}) 2>/dev/null; echo $?", "set -f; echo *; set +f",
	"printf '%s-%s\\n' a b c; printf '%d %x %%\\n' 10 255; printf '%b.' 'a\\0101\\n'; printf 'x\\101\\n'", "command -v echo; command -v sh >/dev/null; echo $?; command -v nope; echo $?; command echo x; type nope >/dev/null 2>&1; echo $?",
	"nope 2>/dev/null; echo $?; ./nope 2>/dev/null; echo $?; echo >plain; ./plain 2>/dev/null; echo $?", "printf '#!/bin/sh\\necho script $1\\n' >s; chmod +x s; ./s arg; PATH=.:$PATH; s two",
	"while read x; do echo \"<$x>\"; done <<E\na\n b c \nE", "x=1; (x=2); echo $x; { x=3; }; echo $x; x=4 true; echo $x; x=5 :; echo $x", "a=$(printf 'x\\n\\n'); echo \"[$a]\"; echo \"$(printf '\\n')x\"", "echo ~ | grep -c /; echo \"~\" '~' a~",
	"echo a; if", "echo 'x", "echo a\n)", "for", "echo $(", "x=; echo ${x:?empty} 2>/dev/null", "exit 300", "exit", "false; exit", "return 3; echo never", "(return 2); echo $?", "break; echo ok", "f() { f2; echo in; }; f2() { return 1; }; f",
	"echo \\", "echo \"a\\\nb\" c\\\nd", "printf '%s|' '\\' \"\\a\\$\\\"\"", ": $((x=3)); echo $x", "echo ${x:=def}$x", "x='*'; echo \"$x\"; set -- \"$x\"; echo \"$1\"", "echo \"${x:-\"a b\"}\" ${x:-'c  d'}",
	"seq 3 | while read i; do echo n$i; done; echo $(seq 2 4)", "printf 'b\\na\\nb\\n' | sort | uniq -c | tr -s ' '", "printf 'a:b\\nc:d\\n' | cut -d: -f2; printf 'abc\\n' | sed 's/b/[&]/; s/c$/C/'; seq 5 | sed -n '2,3p;$p'", "seq 9 | head -n2; seq 9 | tail -n 2; printf abcdef | tail -c +3; printf abc | head -c 2; seq 5 | tail -n +4",
	"printf abc | sha256sum; printf abc >f; sha256sum f >s; sha256sum -c s; sha256sum <f | cut -c1-8", "mv f g 2>/dev/null; echo $?; echo x >f; mv f g; cat g; cp g h; cat h; [ -e f ]; echo $?; mkdir d; mv g d; ls d; mv nope d 2>/dev/null; echo $?",
	"mkdir d; echo x >d/f; rmdir d 2>/dev/null; echo $?; rm d 2>/dev/null; echo $?; find d -type f; find d -prune -mmin +5; find d -name 'f' -mmin -5", "x=$(mktemp); [ -f \"$x\" ]; echo $?; rm $x; d=$(mktemp -d); [ -d $d ]; echo $?; rmdir $d",
	"grep -c b <<E\nabc\nb\nx\nE\necho abc | grep -q '^a.c$'; echo $?; echo 'a+b' | grep 'a+b'; echo ab | grep -E 'a|c'; echo x | grep -v x; echo $?", "basename /a/b.c .c; dirname /a/b; echo a b | wc -w", "yes | head -n 2", "cat nope 2>/dev/null; echo $?; echo x | cat - ; cat /dev/null",
	"(trap 'echo int' INT; kill -INT $$) ; echo $?", "trap 'echo sub' EXIT; (echo in); echo out", "ulimit -f 1; head -c 2000 /dev/zero >big; echo $?; wc -c <big", "x=5; x=$x$x y=$x; echo $x $y", "while :; do break; done; echo $?; while false; do :; done; echo $?",
	"sh <<'E'\necho from stdin; x=1\necho $x\nE", "printf 'echo one\\ncat </dev/null' | sh", "printf '\\377\\200' | wc -c; x=$(printf '\\377'); printf %s \"$x\" | wc -c; echo '\xff\xe9' | head -c 2 | wc -c", "kill -l 9; kill -l 137", "set -- -a -b arg rest; while getopts ab: o; do echo $o $OPTARG; done; shift $((OPTIND-1)); echo $1",
	"id -u >/dev/null; echo $?; [ -O . ]; echo $?; [ -w / ]; [ -r . ]; echo $?", "nohup sh -c 'kill -HUP $$; echo alive' 2>/dev/null", "setsid sh -c 'kill -0 -$$ && echo leads'", "false; eval 'echo $?'; false; eval ''; echo $?", "trap 'echo $?' EXIT; (exit 3); exit 5", "trap 'false' USR1; kill -USR1 $$; echo $?", "echo a & wait; { sleep 0; echo b; } & wait; echo c",
	"exec 3>&1; x=$(echo in >&3; echo out); echo [$x]", "f() { cat; }; echo piped | f; f <<E\ndoc\nE", "cd /; pwd; cd -  >/dev/null; cd nope 2>/dev/null; echo $?", "set -- a b; f() { echo $1; shift; echo $1; }; f x y; echo $1", "touch -d @1000 old; [ old -ot . ]; echo $?; date -u -r old >/dev/null 2>&1; date +%s | grep -c '^[0-9]*$'",
	"timeout 5 echo x; timeout 0.1 sleep 5; echo $?", "env X=1 sh -c 'echo $X'; printenv NOPE; echo $?", "echo abc | tr -d b; echo abc | tr a-c A-C; echo aabb | tr -s a", "x=a; case $x in \"$x\") echo same;; esac; case a.b in *.*) echo dot;; esac; case '[' in [[]) echo br;; esac; case - in [a-]) echo dash;; esac",
	"x=$(head -c 200000 /dev/zero | tr '\\0' a); echo ${#x}; x=$(seq 30000); echo ${#x}", "x=$( (sleep 0.1; echo late) & echo early); echo $x", "x=$(trap 'echo bye' EXIT; echo b); echo $x; $(exit 3); echo $?; x=$(echo a; exit 4); echo $? $x",
	"export A=1; x=$(env | grep ^A=); A=2; echo $x; env | grep ^A=; unset A; env | grep -c ^A=; A=3 env | grep ^A=; env | grep -c ^A=", "A=1; f() { local A=9; export A; env | grep ^A=; }; f; env | grep -c ^A=; export A; cd /; env | grep ^PWD=",
	"umask 027; x=$(umask); umask 077; echo $x $(umask); x=$(umask 000); umask", "printf() { echo mine; }; echo $(printf x); x=$(printf %b 'a\\0101\n\n'); echo $? \"[$x]\"; echo $(pwd >/dev/null)$(echo $(echo $(echo deep)))",
	"touch [ [a a; echo [ ; echo [a ; echo [a] ; echo \"[\"a]; echo [\"a]\"; x='['; echo $x ${x}a] a[; set -f; echo [a]", "'echo' 'a b'c'd' ''e; 'if' 2>/dev/null; echo $?; exec 'echo' 'a  b' '' c", "set -- a 'b c'; echo \"$#$1\" \"x$1y$2z\" \"$*\"; echo \"p$@q\"; x='a*'; echo \"$x/$1\"; echo \"$x\\$1\"",
	"x=$(mkdir q && ls -d q; mkdir q 2>/dev/null; echo $?); echo $x; mv nope q 2>/dev/null; echo $?; wc -l <nope 2>/dev/null; echo $?; (exit 4); echo `wc -c </dev/null` $?", "set -u; echo \"$x\" 2>/dev/null; echo never", "eval 'echo a' 'b'; eval 'echo a' 'b'; x='echo $y'; y=1; eval \"$x\"; y=2; eval \"$x\"; sh -c 'f() { echo f; }; f'; f 2>/dev/null; echo $?",
	"echo a >f; cat f | { x=$(cat); echo got $x; }; echo in | { read y; x=$(cat); echo $y [$x]; }; x=$(sha256sum <f | cut -c1-8); echo $x", "!", "exec", "exec 'nope' 2>/dev/null; echo never", "echo 'not closed", "echo a'b' c;echo d",
}

// TestLikeDash runs each line by dash too, in an empty directory.
func TestLikeDash(t *testing.T) {
	dash := needs.Program(t, "/bin/dash")
	for _, line := range lines {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cmd := exec.Command(dash, "-c", line)
			cmd.Dir, cmd.Stdin = dir, strings.NewReader("from stdin\n")
			cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + dir, "SHELL=/bin/sh", "LANG=C.UTF-8", "TMPDIR=" + dir}
			var stdout bytes.Buffer
			cmd.Stdout = &stdout
			err := cmd.Run()
			want := outcome{stdout: stdout.String(), status: cmd.ProcessState.ExitCode()}
			if e := new(exec.ExitError); err != nil && !errors.As(err, &e) {
				t.Fatal(err)
			}
			got := newHost(t).run(t, "umask 022; "+line, "from stdin\n")
			if want.status < 0 { // by a signal
				want.status = got.status
			}
			if got.stdout != want.stdout || got.status != want.status {
				t.Errorf("got %q, status %d; dash has %q, %d; stderr %q", got.stdout, got.status, want.stdout, want.status, got.stderr)
			}
		})
	}
}

// TestSignalsEndWaits runs in virtual time, so that the signal comes while the shell
// waits.
func TestSignalsEndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		start := time.Now()
		got := h.run(t, "trap 'echo trapped' USR1; p=$$; (sleep 5; kill -USR1 $p; sleep 5; exit 3) & wait $!; echo $?; wait $!; echo $?; kill -0 $! || echo gone", "")
		if want := "trapped\n138\n3\ngone\n"; got.stdout != want {
			t.Errorf("got %q, want %q", got.stdout, want)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
		// A trap does not end a foreground process; KILL ends the shell alone.
		got = h.run(t, "trap 'echo late' TERM; (sleep 1; kill $$) & sleep 5; echo after", "")
		if want := "late\nafter\n"; got.stdout != want {
			t.Errorf("got %q, want %q", got.stdout, want)
		}
		// What runs in the shell's place is killed alone: the shell goes on.
		got = h.run(t, "(sleep 1; kill -9 $(cat pid)) & x=$(sh -c 'echo $PPID >pid'; sleep 50 >/dev/null 2>&1; echo never); echo $? [$x]", "")
		if want := "137 []\n"; got.stdout != want {
			t.Errorf("got %q, want %q", got.stdout, want)
		}
		got = h.run(t, "(sleep 1; kill -9 $$; sleep 1; echo orphan) & sleep 5; echo never", "")
		if want := "orphan\n"; got.stdout != want || got.status != 128+sigKILL {
			t.Errorf("got %q, %d, want %q", got.stdout, got.status, want)
		}
	})
}

func TestSudo(t *testing.T) {
	h := newHost(t)
	if got := h.run(t, "id -u; sudo id -u; sudo -u ada id -un; sudo -n sh -c 'echo $SUDO_USER $HOME; cat /root/x 2>/dev/null; touch /root/x; echo $?'; ls /root", ""); got.stdout != "1000\n0\nada\nada /root\n0\n" || got.status != 2 {
		t.Errorf("without a password: %+v", got)
	}
	h.Password = "secret"
	for line, want := range map[string]outcome{
		"sudo -n true": {stderr: "sudo: a password is required\n", status: 1},
		"printf 'secret\nrest\n' | sudo -S -p 'N0NCE' -u root sh -c 'id -u; cat'":      {stdout: "0\nrest\n", stderr: "N0NCE"},
		"printf 'bad\nsecret\n' | sudo -S id -u":                                       {stdout: "0\n", stderr: "[sudo] password for ada: Sorry, try again.\n[sudo] password for ada: "},
		"printf '1\n2\n3\n4\n' | sudo -S -p '' id -u":                                  {stderr: "Sorry, try again.\nSorry, try again.\nsudo: 3 incorrect password attempts\n", status: 1},
		"sudo -S -p '' id </dev/null":                                                  {stderr: "sudo: no password was provided\nsudo: 1 incorrect password attempt\n", status: 1},
		"sudo -u nobody true":                                                          {stderr: "sudo: unknown user nobody\n", status: 1},
		"printf 'secret\n' | sudo -S -p '' sh -c 'exit 7'":                             {status: 7},
		"printf 'secret\n' | sudo -S -p '' sh -c 'kill -TERM $$' 2>/dev/null; echo $?": {stdout: "143\n", stderr: "Terminated\n"},
	} {
		if got := h.run(t, line, ""); got != want {
			t.Errorf("%s: got %+v, want %+v", line, got, want)
		}
	}
}
