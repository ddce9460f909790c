package placeholder_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/placeholder"
)

// No value runs as a command, however the quotes of the command nest: the value is
// refused, or quoted.
func TestNestedQuotes(t *testing.T) {
	for _, text := range []string{
		`echo "$(echo "{attr.a}")"`,
		`echo "$(echo "{attr.a|sh}")"`,
		`echo "$(echo ")" "{attr.a|sh}")"`,
		`echo "$(echo \( "{attr.a|sh}")"`,
		"echo \"$(case x in x) echo ;; esac; echo \"{attr.a|sh}\")\"",
		"echo \"`echo \"{attr.a|sh}\"`\"",
		"echo `echo {attr.b|sh} {attr.a|sh}`",
		"echo `echo \"a\\\\\"` {attr.a|sh}",
		`echo "${X-"{attr.a|sh}"}"`,
		`echo "${X-'}'"{attr.a|sh}"}"`,
		`echo $(( {attr.a|sh} ))`,
		`(( {attr.a|sh} ))`,
		`echo $[ {attr.a|sh} ]`,
		"(true)# it's\necho '{attr.a|sh}'",
		`echo '\' {attr.a|sh}`,
		`echo "\"" {attr.a|sh}`,
		`echo "a$'" {attr.a|sh}`,
		"echo '\n'{attr.a|sh}\necho ''",
	} {
		template, err := placeholder.Parse(text, placeholder.Unquoted)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{"$(touch RAN)", "`touch RAN`", "; touch RAN #", `" ; touch RAN #`, "'; touch RAN; '"} {
			target := fleet.Target{Attrs: attrs{"a": value, "b": `\`}}
			if template.Check(target) != nil {
				continue
			}
			for _, shell := range [][]string{
				{"sh"}, {"bash"}, {"dash"}, {"zsh"}, {"ksh93"}, {"mksh"}, {"busybox", "sh"}, {"csh"}, {"tcsh"}, {"fish"},
			} {
				dir := t.TempDir()
				cmd := exec.CommandContext(t.Context(), needs.Program(t, shell[0]), append(shell[1:len(shell):len(shell)], "-c", template.Expand(target))...)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir)
				_ = cmd.Run() // many of these are no commands for every shell
				if _, err := os.Stat(filepath.Join(dir, "RAN")); err == nil {
					t.Errorf("%s runs the value %q in %q", shell[0], value, text)
				}
			}
		}
	}
}

// What plain quotes enclose is told from what follows them.
func TestAfterNestedQuotes(t *testing.T) {
	const value = "a 'b' $(id)"
	target := fleet.Target{Host: fleet.Host{Name: "n"}, Attrs: attrs{"a": value, "p": "plain"}}
	for text, want := range map[string]string{
		`echo "$(date)" {attr.a}`:                        `echo "$(date)" 'a '\''b'\'' $(id)'`,
		`echo "$(basename "{attr.p|sh}")" {attr.a|sh}`:   `echo "$(basename "plain")" 'a '\''b'\'' $(id)'`,
		`echo "$(a "$(b "{attr.p|sh}")")" {host}`:        `echo "$(a "$(b "plain")")" n`,
		`echo "$(ping "{host}")" {host}`:                 `echo "$(ping "{host}")" n`,
		"echo `date` \"`date`\" \"${HOME}\" {attr.a}":    "echo `date` \"`date`\" \"${HOME}\" 'a '\\''b'\\'' $(id)'",
		`echo $(echo {attr.a}) $((1 + 2)) {attr.a}`:      `echo $(echo 'a '\''b'\'' $(id)') $((1 + 2)) 'a '\''b'\'' $(id)'`,
		`echo $(({port} + 1)) "\$x" 's/\"/\./' {attr.a}`: `echo $((22 + 1)) "\$x" 's/\"/\./' 'a '\''b'\'' $(id)'`,
	} {
		template, err := placeholder.Parse(text, placeholder.Unquoted)
		if err != nil {
			t.Fatal(err)
		}
		if err := template.Check(target); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := template.Expand(target); got != want {
			t.Errorf("%s gives %q, want %q", text, got, want)
		}
	}
}
