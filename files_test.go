package shoal_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal"
	"shoal/fleet"
)

// Scripts, pushes and pulls are run again from what the journal keeps of them, and not if that has
// changed; secret variables have to be given again.
func TestFilesAgain(t *testing.T) {
	targets, opts, _ := far(t)
	opts.Remote.Dir = ""
	dir := t.TempDir()
	there, here := filepath.Join(dir, "there"), filepath.Join(dir, "here")
	file := filepath.Join(dir, "s.sh")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("#!/bin/sh\necho \"$1 $TOKEN\"\n")
	again := func(o shoal.Options) (results []shoal.Result, err error) {
		for res, failed := range opts.Journal.Rerun(t.Context(), "last", "ok", o) {
			if failed != nil {
				return results, failed
			}
			results = append(results, res)
		}
		return results, nil
	}
	one := func(what string, results []shoal.Result, stdout string) {
		t.Helper()
		if len(results) != 1 || results[0].Outcome != fleet.OutcomeOK || !strings.Contains(string(results[0].Stdout.Bytes), stdout) {
			t.Fatalf("%s: %+v", what, results)
		}
	}

	secret := opts
	secret.Remote.EnvSecret = map[string][]byte{"TOKEN": []byte("Canary-4716")}
	one("script", collect(t, shoal.Script(t.Context(), targets, file, []string{"{host}"}, secret)), "{host} Canary-4716\n")
	one("script", collect(t, opts.Journal.Rerun(t.Context(), "last", "ok", secret)), "{host} Canary-4716\n")
	if string(secret.Remote.EnvSecret["TOKEN"]) != "Canary-4716" {
		t.Error("the caller's value was overwritten")
	}
	if _, err := again(opts); err == nil || !strings.Contains(err.Error(), "secret variables") {
		t.Errorf("without the secret: %v", err)
	}
	one("push", collect(t, shoal.Push(t.Context(), targets, []string{file}, there, shoal.PushOptions{}, opts)), "written")
	if results, err := again(opts); err != nil {
		t.Error(err)
	} else {
		one("push", results, "the same")
	}
	write("changed")
	if _, err := again(opts); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("changed: %v", err)
	}
	one("pull", collect(t, shoal.Pull(t.Context(), targets, []string{there}, here, shoal.PullOptions{}, opts)), "")
	one("pull", collect(t, opts.Journal.Rerun(t.Context(), "last", "ok", opts)), "")
	if found, err := filepath.Glob(here + "/*" + there); err != nil || len(found) != 1 {
		t.Errorf("pulled %q, %v", found, err)
	}
	for _, r := range collect(t, shoal.Pull(t.Context(), targets, []string{there}, "", shoal.PullOptions{MaxSize: 100}, opts)) {
		if !strings.HasPrefix(string(r.Stdout.Bytes), "#!/bin/sh\n") {
			t.Errorf("shown: %+v", r)
		}
	}
	for name, change := range map[string]func(*shoal.Options){
		"stdin":    func(o *shoal.Options) { o.Stdin = strings.NewReader("x") },
		"terminal": func(o *shoal.Options) { o.Terminal = new(shoal.Terminal) },
		"once":     func(o *shoal.Options) { o.Remote.Once = true },
	} {
		o := opts
		change(&o)
		for _, err := range shoal.Push(t.Context(), targets, []string{file}, there, shoal.PushOptions{}, o) {
			if err == nil || !strings.Contains(err.Error(), "files are copied") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A terminal is as large as was asked for, and both streams are one.
func TestTerminal(t *testing.T) {
	targets, opts, _ := far(t)
	opts.Remote.Dir = ""
	opts.Terminal = &shoal.Terminal{Type: "vt100", Columns: 123, Rows: 45}
	got := collect(t, shoal.Run(t.Context(), targets, "stty size; echo $TERM >&2", opts))
	if len(got) != 1 || string(got[0].Stdout.Bytes) != "45 123\r\nvt100\r\n" || !got[0].Flags.Has(fleet.FlagPTY) {
		t.Errorf("%+v", got)
	}
	for name, change := range map[string]func(*shoal.Options){
		"stdin": func(o *shoal.Options) { o.Stdin = strings.NewReader("x") },
		"once":  func(o *shoal.Options) { o.Remote.Once = true },
		"size":  func(o *shoal.Options) { o.Terminal = &shoal.Terminal{Rows: -1} },
	} {
		o := opts
		change(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "a Terminal") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file that is not stored is held in memory: hosts send no more of it than is kept.
func TestPulledOutputIsBounded(t *testing.T) {
	targets, opts, _ := far(t)
	opts.Remote.Dir = ""
	opts.Limits.MaxOutput = 1000
	file := filepath.Join(t.TempDir(), "file")
	for size, reason := range map[int]fleet.Reason{1000: fleet.ReasonNone, 5000: fleet.ReasonTooLarge} {
		if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, r := range collect(t, shoal.Pull(t.Context(), targets, []string{file}, "", shoal.PullOptions{}, opts)) {
			if r.Reason != reason || r.Flags.Has(fleet.FlagOutputTruncated) {
				t.Errorf("%d bytes: %s %s %v", size, r.Outcome, r.Reason, r.Flags)
			}
		}
	}
}
