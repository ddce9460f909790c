package placeholder_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/placeholder"
)

var (
	commands = flag.Int("commands", 150, "random commands for TestNoValueRuns")
	seed     = flag.Uint64("seed", 1, "seed of TestNoValueRuns")
)

// No value runs as a command in a random one, in no shell: the value is refused, or quoted.
func TestNoValueRuns(t *testing.T) {
	parts := []string{
		"'", "'", `"`, `"`, `\`, "`", "`", "$(", ")", "(", "${x-", "}", "$((", "))", "((", "$[", "]", "#", " # ", "\n", "<<X\n", "\nX\n",
		"$'", `$"`, "echo ", "echo ", " ", " ", ";", "a", "b", "case x in x) ", " ;; esac", "!", "~", "=", "%", "*", "$", "{", "x=", "&& ", "| ", "[ ",
		"{attr.a|sh}", "{attr.a|sh}", "{attr.a}", "{attr.b|sh}", "{attr.b}", "{attr.c|sh}",
	}
	values := []string{
		"$(touch RAN)", "`touch RAN`", "; touch RAN #", `" ; touch RAN #`, `"; touch RAN; "`, "'; touch RAN; '", ") ; touch RAN #", "} ; touch RAN #", "| touch RAN",
		"x; touch RAN", "a[$(touch RAN)]", `"$(touch RAN)"`, "(touch RAN)", `\`, `\\`, "'", `"`, "#", "$", "plain", "two words", "!", "`", "$(",
	}
	shells := [][]string{
		{"sh"}, {"bash"}, {"dash"}, {"zsh"}, {"ksh93"}, {"mksh"}, {"busybox", "sh"}, {"csh"}, {"tcsh"}, {"fish"},
	}
	dice := rand.New(rand.NewPCG(*seed, 0))
	ran := 0
	for number := range *commands {
		var text strings.Builder
		text.WriteString("echo ")
		for range 3 + dice.IntN(12) {
			text.WriteString(parts[dice.IntN(len(parts))])
		}
		template, err := placeholder.Parse(text.String(), placeholder.Unquoted)
		if err != nil || template.Fixed() {
			continue
		}
		some := attrs{}
		for _, name := range []string{"a", "b", "c"} {
			some[name] = values[dice.IntN(len(values))]
		}
		target := fleet.Target{Attrs: some}
		if template.Check(target) != nil {
			continue
		}
		ran++
		first := dice.IntN(len(shells))
		for i := range 3 {
			shell := shells[(first+i*3)%len(shells)]
			if runs(t, shell, template.Expand(target)) {
				t.Errorf("%s runs a value of %q in the command %d of seed %d:\n%s\nwhich is sent as\n%s",
					shell[0], some, number, *seed, text.String(), template.Expand(target))
			}
		}
	}
	if ran < *commands/10 {
		t.Errorf("only %d of %d commands could be run", ran, *commands)
	}
}

// runs reports whether a shell that is given the command makes the file RAN.
func runs(t *testing.T, shell []string, command string) bool {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, needs.Program(t, shell[0]), append(shell[1:len(shell):len(shell)], "-c", command)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir)
	cmd.WaitDelay = time.Second
	_ = cmd.Run() // many of these are no commands for every shell
	_, err := os.Stat(filepath.Join(dir, "RAN"))
	return err == nil
}
