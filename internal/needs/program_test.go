package needs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// An ending records how a test would end.
type ending struct {
	testing.TB
	how string
}

func (e *ending) Helper() {}

func (e *ending) Fatalf(format string, args ...any) { e.end("fails: "+format, args) }

func (e *ending) Skipf(format string, args ...any) { e.end("skips: "+format, args) }

func (e *ending) end(format string, args []any) {
	e.how = fmt.Sprintf(format, args...)
	panic(e)
}

// asked returns how a test that needs the program ends, and the path it gets if
// it continues.
func asked(path string) (how, got string) {
	e := new(ending)
	defer func() {
		_ = recover()
		how = e.how
	}()
	got = Program(e, path)
	return "", got
}

func TestProgram(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if err := os.WriteFile(filepath.Join(dir, "zsh"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"zsh", filepath.Join(dir, "zsh")} {
		if how, got := asked(path); how != "" || got != filepath.Join(dir, "zsh") {
			t.Errorf("%s: %q, %s", path, got, how)
		}
	}
	for ci, want := range map[string]string{"": "skips: ", "1": "fails: ", "true": "fails: "} {
		t.Setenv("CI", ci)
		for _, path := range []string{"ksh93", filepath.Join(dir, "ksh93")} {
			if how, _ := asked(path); !strings.HasPrefix(how, want) || !strings.Contains(how, "install ksh93u+m") {
				t.Errorf("CI=%q, %s: %s", ci, path, how)
			}
		}
		if how, _ := asked("of-nobody"); !strings.HasPrefix(how, "fails: ") {
			t.Errorf("CI=%q, a program without a package: %s", ci, how)
		}
	}
}

// A hint names the packages that scripts/setup installs.
func TestSameAsSetup(t *testing.T) {
	script, err := os.ReadFile("../../scripts/setup")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^ +\[(.+)\]=(.+)$`).FindAllSubmatch(script, -1)
	if len(rows) < 10 {
		t.Fatalf("only %d programs in scripts/setup", len(rows))
	}
	for _, row := range rows {
		if name := filepath.Base(string(row[1])); packages[name] != string(row[2]) {
			t.Errorf("%s: %q here, %q in scripts/setup", name, packages[name], row[2])
		}
	}
}
