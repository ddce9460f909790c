package cli_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"shoal/internal/ptytest"
	"shoal/simfleet"
)

// A pane is a terminal with a program, as a person uses it.
type pane struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	mode   unix.Termios // at the beginning

	mu     sync.Mutex
	screen bytes.Buffer
	read   chan struct{} // closed at the end of the terminal's output
}

// openPane runs a script under sh -m, which has job control like an interactive
// shell, on a terminal of its own.
func openPane(t *testing.T, dir, script string) *pane {
	t.Helper()
	master, tty := ptytest.Open(t)
	defer func() { _ = tty.Close() }()
	p := &pane{t: t, master: master, read: make(chan struct{})}
	p.mode = p.termios()
	p.cmd = exec.Command("sh", "-m", "-c", script)
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "TERM=xterm", "HOME="+dir)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = tty, tty, tty
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	// A process inherits ignored signals, as under nohup or in the background
	// of a script; caught ones are reset to their default.
	for _, sig := range []os.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGHUP} {
		if signal.Ignored(sig) {
			caught := make(chan os.Signal, 1)
			signal.Notify(caught, sig)
			defer signal.Ignore(sig)
			defer signal.Stop(caught)
		}
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.read)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf) // EIO once no process has the terminal open
			p.mu.Lock()
			p.screen.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		<-p.read
		_ = master.Close()
	})
	return p
}

// termios returns the terminal's current mode, which both ends share.
func (p *pane) termios() unix.Termios {
	p.t.Helper()
	mode, err := unix.IoctlGetTermios(int(p.master.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return *mode
}

func (p *pane) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.String()
}

// await waits for text in new output.
func (p *pane) await(text string) {
	p.t.Helper()
	for over := false; ; {
		if p.cut(text) {
			return
		}
		if over {
			p.t.Fatalf("%q did not come; on the screen is\n%s", text, p.text())
		}
		select {
		case <-p.read:
			over = true
		case <-time.After(time.Millisecond):
		}
	}
}

// cut removes the output up to text, and reports whether it is there.
func (p *pane) cut(text string) bool {
	p.mu.Lock() // held throughout: what comes meanwhile must not be lost
	defer p.mu.Unlock()
	_, after, ok := strings.Cut(p.screen.String(), text)
	if ok {
		p.screen.Reset()
		p.screen.WriteString(after)
	}
	return ok
}

func (p *pane) press(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.master, keys); err != nil {
		p.t.Fatal(err)
	}
}

// plain reports whether the terminal has its original mode.
func (p *pane) plain() bool { return p.termios() == p.mode }

// awaitKeys waits until the terminal is in the keyboard's mode.
func (p *pane) awaitKeys() {
	for p.termios().Lflag&(unix.ICANON|unix.ECHO) != 0 {
		time.Sleep(time.Millisecond)
	}
}

// paneFleet returns a fleet without faults whose commands wait for the test.
func paneFleet(t *testing.T) (f *simfleet.Fleet, dir, shoal string) {
	t.Helper()
	f, dir = startFleet(t, simfleet.Options{Hosts: 20})
	return f, dir, "shoal run --no-agent --known-hosts kh --identity key --hostfile hosts --no-journal -f 2 "
}

func awaitExecs(f *simfleet.Fleet, n int) {
	for f.Stats().Execs < n {
		time.Sleep(time.Millisecond)
	}
}

// Keys control a run. Ctrl-Z restores the terminal, fg takes it again, and the
// end, here an abort, restores it.
func TestKeys(t *testing.T) {
	f, dir, shoal := paneFleet(t)
	p := openPane(t, dir, shoal+"'sleep 3600'; stty -a >stopped; echo back at the shell; read line; fg; echo the end is $?")
	awaitExecs(f, 2)
	p.awaitKeys()
	p.press("+")
	p.await("width 4, 2 in flight")
	awaitExecs(f, 4)
	p.press("\x1b[A") // an arrow: not a key of ours, though other bytes follow the [
	p.press("\x1a")
	p.await("suspended: ")
	p.await("back at the shell")
	if !p.plain() {
		t.Error("the terminal was not given back to the shell")
	}
	stopped, err := os.ReadFile(filepath.Join(dir, "stopped"))
	if err != nil || bytes.Contains(stopped, []byte("-icanon")) || bytes.Contains(stopped, []byte("-echo ")) {
		t.Errorf("while stopped: %v\n%s", err, stopped)
	}
	p.press("++\n") // for the shell
	p.await("going on after ")
	p.awaitKeys()
	p.press("-")
	p.await("width 2, 4 in flight")
	p.press("\x03")
	p.await("stopping: ")
	p.press("\x03")
	p.await("aborting: ")
	p.await("the end is 130")
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if !p.plain() {
		t.Error("the terminal was not given back at the end")
	}
	if n := f.Stats().Execs; n != 4 {
		t.Errorf("%d commands ran, want 4", n)
	}
}

// p starts nothing more until it is pressed again; + while paused takes effect
// then; ? prints the keys; and running commands end as usual.
func TestKeysPause(t *testing.T) {
	f, dir, shoal := paneFleet(t)
	p := openPane(t, dir, shoal+"'sleep 0.5; echo {index}'; echo the end is $?")
	awaitExecs(f, 2)
	p.awaitKeys()
	p.press("p")
	p.await("paused, ")
	p.await(" in flight")
	for f.Stats().Open > 0 { // running commands have ended
		time.Sleep(time.Millisecond)
	}
	paused := f.Stats().Execs
	p.press("?")
	p.await(", p pauses and goes on, ")
	p.press("+")
	p.await("paused, 0 in flight; p goes on with a width of 4")
	if n := f.Stats().Execs; n != paused || n == 20 {
		t.Errorf("%d commands ran while paused at %d", n, paused)
	}
	p.press("p")
	p.await("20 ok")
	p.await("the end is 0")
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if n := f.Stats().Execs; n != 20 {
		t.Errorf("%d commands ran, want 20", n)
	}
	if !p.plain() {
		t.Error("the terminal was not given back at the end")
	}
}

// l lists who is in flight, and with what; Ctrl-C names them.
func TestKeysList(t *testing.T) {
	f, dir, shoal := paneFleet(t)
	p := openPane(t, dir, shoal+"'echo began; sleep 3600'")
	awaitExecs(f, 2)
	p.awaitKeys()
	p.await("began")
	p.await("began")
	p.press("l")
	p.await("2 in flight, 18 waiting:\r\n")
	p.await(" s  running, last output ")
	p.press("\x03")
	p.await("in flight: 2 running: ")
	p.press("\x03")
	_ = p.cmd.Wait() // the exit code says that it was interrupted
}

// q ends what is followed, which is no failure, and Ctrl-C does so with its own exit code;
// with -b the groups come at the end.
func TestKeysFollow(t *testing.T) {
	f, dir, shoal := paneFleet(t)
	for _, c := range []struct{ key, code string }{{"q", "0"}, {"\x03", "130"}} {
		before := f.Stats().Execs
		p := openPane(t, dir, shoal+"-f 20 --follow -b 'echo began; sleep 3600'; echo the end is $?")
		awaitExecs(f, before+20)
		p.awaitKeys()
		for range 20 {
			p.await(" began")
		}
		p.press(c.key)
		p.await("the commands are let go")
		p.await(" (20)") // the group
		p.await("20 followed to the end of the run in ")
		p.await("the end is " + c.code)
		if err := p.cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// In the background the terminal is not touched; signals still control the run.
func TestKeysInTheBackground(t *testing.T) {
	f, dir, shoal := paneFleet(t)
	p := openPane(t, dir, shoal+"'sleep 3600' & read line; echo read $line; kill -USR1 $!; read line; kill -USR2 $!; read line; kill -TERM $!; wait")
	awaitExecs(f, 2)
	if !p.plain() {
		t.Error("a background process has set the terminal's mode")
	}
	p.press("++pp\n")
	p.await("read ++pp")
	p.await("width 4, 2 in flight")
	awaitExecs(f, 4)
	p.press("\n")
	p.await("width 2, 4 in flight")
	p.press("\n")
	p.await("\x1b[31m4 unknown\x1b[0m, \x1b[33m16 cancelled\x1b[0m")
	_ = p.cmd.Wait() // the status is that of wait
	if !p.plain() {
		t.Error("the terminal is not as it was")
	}
}

// A run that is killed by SIGQUIT to print its goroutines restores the
// terminal.
func TestKeysAndSIGQUIT(t *testing.T) {
	f, dir, shoal := paneFleet(t)
	p := openPane(t, dir, shoal+"'sleep 3600' 2>dump")
	awaitExecs(f, 2)
	p.awaitKeys()
	p.press("\x1c")
	if err := p.cmd.Wait(); !errors.As(err, new(*exec.ExitError)) {
		t.Errorf("%v, want the end by a signal", err)
	}
	if !p.plain() {
		t.Error("the terminal was not given back")
	}
	dump, err := os.ReadFile(filepath.Join(dir, "dump"))
	if err != nil || !bytes.Contains(dump, []byte("SIGQUIT: quit")) {
		t.Errorf("no goroutines: %v", err)
	}
}
