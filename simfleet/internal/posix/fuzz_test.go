package posix

import (
	"io"
	"strings"
	"testing"
	"time"
)

// FuzzStart asserts that no line makes a host panic, keep running after its end, or
// leave anything behind.
func FuzzStart(f *testing.F) {
	for _, line := range lines {
		f.Add(line)
	}
	for _, line := range []string{
		"x=x; while :; do x=$x$x; done", "set -- a; while :; do set -- \"$@\" \"$@\"; done", "f() { f | f & }; f", "f() { f; }; f", "cat /dev/zero | grep x", "yes | sort", "yes | sed p", "cat /dev/zero | tail",
		"while :; do :; done", "eval eval eval eval", "trap 'kill $$' TERM; kill $$", "exec 5>&5 99>&1", "cat <&9", "x=$(yes)", "head -c 1G /dev/zero >f", ": $((1<<99)) $((1/0)) $((a[1]))", "${x/y/z} ${!x} ${x:1}", "cat <(ls) >(ls)",
		"$(( $( (", "`", "${", "$((", "case x in", "a() { a; } | a", "! ! true", "<<E", "<<E\n$(", "<<\xff& \nb", "${x-}() { :; }", "echo ${00} ${-1}", "export() { :; }", "printf %", "kill -l 999", "sed s/a", "grep '\\('", "tr a", "cut -f", "ls -Z", "[ a -eq", "test ( )", "[ ( a ]", "read", "wait x", "getopts", "shift -1", "exit -1", "return x",
		"sudo -S -p x ls", "setsid", "nohup", "env -u", "timeout", "mktemp X", "chmod u=zz .", "find . -mmin", "stat -c", "date +%", "sleep 1e99999", "seq 0 0 0", "dd bs=0", "ln -s / /tmp/l; ls /tmp/l/tmp/l/tmp", "cd /proc/self; ls; cat *", "find / -name x",
	} {
		f.Add(line)
	}
	f.Fuzz(func(_ *testing.T, line string) {
		h := New(Config{Name: "h", BootID: "id", Boot: time.Now(), Size: 1 << 20, Random: func() io.Reader { return strings.NewReader(line) }})
		s := h.Start(h.Login("ada"), line, 0, Streams{Stdin: strings.NewReader(line), Stdout: io.Discard, Stderr: io.Discard})
		timer := time.NewTimer(20 * time.Millisecond)
		select {
		case <-s.Done():
		case <-timer.C:
		}
		timer.Stop()
		h.Kill()
		h.Wait()
	})
}
