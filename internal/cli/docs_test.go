package cli

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"shoal/internal/cli/console"
)

// documents returns the texts for users by their paths from the root of the repository.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	for _, pattern := range []string{"README.md", "docs/*.md"} {
		paths, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v, %v", pattern, paths, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[path] = string(text)
		}
	}
	return texts
}

// Whatever a document links to is there.
func TestLinksOfDocuments(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)]+)\)|(?:src|srcset)="([^"]+)"`)
	n := 0
	for path, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			to, _, _ := strings.Cut(m[1]+m[2], "#")
			if strings.Contains(to, "://") || to == "" {
				continue
			}
			n++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), to)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if n < 10 {
		t.Errorf("%d links were found", n)
	}
}

// Each command line of shoal in a document names a command and flags that exist, with values that
// they take.
func TestCommandLinesOfDocuments(t *testing.T) {
	block := regexp.MustCompile("(?ms)^```sh\n(.*?)^```")
	consoles := regexp.MustCompile("(?ms)^```console\n(.*?)^```")
	inline := regexp.MustCompile("`(shoal [^`]+)`")
	n := 0
	for path, text := range documents(t) {
		var lines []string
		for _, m := range block.FindAllStringSubmatch(text, -1) {
			lines = append(lines, m[1])
		}
		for _, m := range consoles.FindAllStringSubmatch(text, -1) {
			for line := range strings.Lines(m[1]) {
				if command, ok := strings.CutPrefix(line, "$ "); ok && !strings.Contains(command, "<<") {
					lines = append(lines, command)
				}
			}
		}
		for _, m := range inline.FindAllStringSubmatch(block.ReplaceAllString(text, ""), -1) {
			lines = append(lines, strings.NewReplacer("[", "", "]", "", "…", "").Replace(m[1])) // optional words
		}
		for _, line := range lines {
			file, err := syntax.NewParser().Parse(strings.NewReader(line), path)
			if err != nil {
				t.Errorf("%s: %q: %v", path, line, err)
				continue
			}
			syntax.Walk(file, func(node syntax.Node) bool {
				call, ok := node.(*syntax.CallExpr)
				if !ok {
					return true
				}
				words, err := expand.Fields(&expand.Config{ProcSubst: noProcess, CmdSubst: noOutput}, call.Args...)
				if err != nil {
					t.Errorf("%s: %q: %v", path, line, err)
				}
				if len(words) > 1 && words[0] == "shoal" && words[1] != "COMMAND" {
					n++
					checkLine(t, path, words[1:])
				}
				return true
			})
		}
	}
	if n < 100 {
		t.Errorf("%d command lines were found", n)
	}
}

func noProcess(*syntax.ProcSubst) (string, error) { return "/dev/null", nil }

func noOutput(io.Writer, *syntax.CmdSubst) error { return nil }

func checkLine(t *testing.T, path string, args []string) {
	t.Helper()
	root := newRoot(console.Stdio{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	cmd, rest, err := root.Find(args)
	switch {
	case err != nil:
		t.Errorf("%s: shoal %q: %v", path, args, err)
	case cmd == root && len(rest) > 0 && !strings.HasPrefix(rest[0], "-"):
		t.Errorf("%s: shoal %q: there is no such command", path, args)
	case cmd.HasSubCommands() && !cmd.Runnable() && slices.ContainsFunc(rest, func(a string) bool { return !strings.HasPrefix(a, "-") }):
		t.Errorf("%s: shoal %q: %s has no such command", path, args, cmd.CommandPath())
	default:
		if err := cmd.ParseFlags(rest); err != nil {
			t.Errorf("%s: shoal %q: %v", path, args, err)
		}
	}
}
