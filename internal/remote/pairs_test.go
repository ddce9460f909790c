package remote

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Input is the same, byte by byte, under each pair of what can be put around a command, in every login shell.
func TestInputUnderEveryPair(t *testing.T) {
	type around struct {
		w                    Wrap
		long, script, become bool
	}
	layers := []struct {
		name string
		add  func(t *testing.T, a *around)
	}{
		{"marker", func(t *testing.T, a *around) {
			a.w.Marker = &Marker{Run: "run", Index: 1, Dir: filepath.Join(t.TempDir(), "marks")}
		}},
		{"confirmed", func(t *testing.T, a *around) {
			if a.w.Marker == nil {
				a.w.Marker = &Marker{Run: "run", Index: 1, Dir: filepath.Join(t.TempDir(), "marks")}
			}
			a.w.Group, a.w.Confirm = true, true
		}},
		{"timeout", func(_ *testing.T, a *around) { a.w.Timeout = time.Hour }},
		{"place", func(_ *testing.T, a *around) { a.w.Place = &Place{Env: []string{"A=b"}, Dir: "/", Umask: "077"} }},
		{"secrets", func(t *testing.T, a *around) { a.w.Secrets = secrets(t, "Canary-4730\n") }},
		{"long", func(_ *testing.T, a *around) { a.long = true }},
		{"script", func(_ *testing.T, a *around) { a.script = true }},
		{"become", func(_ *testing.T, a *around) { a.become, a.w.Room = true, true }},
	}
	_, noSudo := exec.LookPath("sudo")
	everyLoginShell(t, func(t *testing.T, f *far) {
		f.withTmp(t)
		input := inputOf(5000)
		for i, one := range layers {
			for _, two := range layers[i+1:] {
				a := around{w: Wrap{Nonce: nonce}}
				one.add(t, &a)
				two.add(t, &a)
				if a.become && (os.Geteuid() != 0 || noSudo != nil) || a.long && a.script {
					continue
				}
				command, text := "cat; exit 9", ""
				switch {
				case a.long:
					command = "cat" + padding + "exit 9"
				case a.script:
					text, command = "#!/bin/sh\ncat; exit 9\n", "name"
					a.w.Script = script(t, text)
				}
				line, before, err := withInput(a.w, input).Request(command)
				if line = must(t)(line, err); a.become {
					line = must(t)(Become{Method: Sudo, User: "root", Nonce: nonce, Held: true}.Line(line, true))
				}
				if a.w.Secrets != nil {
					before = frameOf(t, a.w.Secrets) + before
				}
				got := f.run(t, line, before+text+input)
				for _, ours := range []string{header(nonce) + " became\n", ScriptStarted(nonce)} {
					got.stdout = strings.TrimPrefix(got.stdout, ours)
				}
				if got.stdout != input || got.status != 9 {
					t.Errorf("%s, %s: %d bytes, status %d, %.300q", one.name, two.name, len(got.stdout), got.status, got.stderr)
				}
			}
		}
	})
}
