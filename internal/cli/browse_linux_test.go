package cli_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/simfleet"
)

const browsed = "--no-agent --known-hosts kh --identity key --hostfile hosts --state-dir state "

// A run in the browser: its hosts and their output, one host given up, the width, a pause of the
// process, and the two stops, after which the terminal is as it was.
func TestBrowseRun(t *testing.T) {
	f, dir := startFleet(t, simfleet.Options{Hosts: 20})
	p := openPane(t, dir, "shoal run --browse "+browsed+"-f 2 'echo be\\gan; sleep 3600'; echo back at the shell; read line; fg; echo the end is $?")
	awaitExecs(f, 2)
	p.await("began") // only what changes is drawn: numbers may come in parts
	p.press("x")
	p.await("may go on there")
	p.press("y")
	p.await("1 unknown")
	awaitExecs(f, 3)
	p.press("\x1a")
	p.await("suspended: commands go on")
	p.await("back at the shell")
	if !p.plain() {
		t.Error("the terminal was not given back to the shell")
	}
	p.press("\n")
	p.await("began")
	p.press("+")
	p.await("width 4, ")
	awaitExecs(f, 5)
	p.press("\x03")
	p.await("stopping: no command is started any more")
	p.press("\x03")
	p.await("the run has ended")
	p.press("q")
	p.await("interrupted: ")
	p.await("5 unknown")
	p.await("the end is 130")
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if !p.plain() {
		t.Error("the terminal was not given back at the end")
	}
	if n := f.Stats().Execs; n != 5 {
		t.Errorf("%d commands ran, want 5", n)
	}
}

// Who leaves the browser of a run that goes on sees its end as without it.
func TestBrowseRunLeft(t *testing.T) {
	f, dir := startFleet(t, simfleet.Options{Hosts: 20})
	p := openPane(t, dir, "shoal run --browse "+browsed+"-f 2 'sleep 0.3; echo {index}'; echo the end is $?")
	awaitExecs(f, 2)
	p.await("[1 hosts]")
	p.press("q")
	p.await("leave the browser?")
	p.press("y")
	p.await("\x1b[?1049l")
	p.await("20 ok")
	p.await("the end is 0")
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if !p.plain() {
		t.Error("the terminal was not given back at the end")
	}
}

// A run that has ended: an output, and the command again where it has failed.
func TestBrowse(t *testing.T) {
	f, dir := startFleet(t, simfleet.Options{Hosts: 3})
	p := openPane(t, dir, "shoal run "+browsed+"'echo answer {index}; exit {index}' >/dev/null 2>&1; shoal browse --state-dir state; echo the end is $?")
	p.await("answer 0")
	p.press("j\r")
	p.await("failed 1")
	p.press("q*r")
	p.await("the command again on 2 targets")
	p.await(" failed")
	p.await("Left out, as the command has run there or may have: 1 ok.")
	p.press("y")
	p.await("running: shoal rerun --state-dir state ")
	p.await("answer 1")
	p.await("2 failed")
	p.await("the end is 1")
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if n := f.Stats().Execs; n != 5 {
		t.Errorf("%d commands ran, want 5", n)
	}
	if !p.plain() {
		t.Error("the terminal was not given back at the end")
	}
}

// SIGTERM ends the browser, and the run that it shows, with the terminal as it was.
func TestBrowseTerminated(t *testing.T) {
	for name, c := range map[string]struct{ before, run, code string }{
		"a run":          {"", "run --browse " + browsed + "'sleep 3600'", "130"},
		"a run of old":   {"shoal run " + browsed + "true >/dev/null 2>&1; ", "browse --state-dir state", "0"},
		"without colour": {"export NO_COLOR=1; shoal run " + browsed + "false >/dev/null 2>&1; ", "browse --state-dir state", "0"}, //nolint:misspell // the name is not ours
	} {
		t.Run(name, func(t *testing.T) {
			_, dir := startFleet(t, simfleet.Options{Hosts: 2})
			p := openPane(t, dir, c.before+`sh -c 'echo $$ > pid; exec shoal "$@"' shoal `+c.run+"; echo the end is $?")
			p.await("\x1b[?1049h")
			p.await("[1 hosts]")
			if shown := p.text(); name == "without colour" && strings.Contains(shown, "\x1b[3") {
				t.Errorf("there are colours: %q", shown)
			}
			pid := 0
			for pid == 0 {
				text, _ := os.ReadFile(filepath.Join(dir, "pid"))
				pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
				time.Sleep(time.Millisecond)
			}
			if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			p.await("\x1b[?1049l")
			p.await("the end is " + c.code)
			if err := p.cmd.Wait(); err != nil {
				t.Error(err)
			}
			if !p.plain() {
				t.Error("the terminal was not given back at the end")
			}
		})
	}
}
