package console

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"strings"

	"shoal/internal/hint"
)

// Confirmer returns a function that has a person confirm something by the program in
// $SSH_ASKPASS, as ssh-agent does for keys added with ssh-add -c: it exits with 0 and prints
// nothing or "yes". The terminal is no place for it: it shows the run.
func Confirmer() (func(ctx context.Context, question string) bool, error) {
	program, err := exec.LookPath(cmp.Or(os.Getenv("SSH_ASKPASS"), "ssh-askpass"))
	if err != nil {
		return nil, hint.New("there is no program that asks for confirmation: "+err.Error(), "install ssh-askpass, or have SSH_ASKPASS name one")
	}
	return func(ctx context.Context, question string) bool {
		out := Beginning{Left: 64}
		cmd := exec.CommandContext(ctx, program, question)
		cmd.Env = append(os.Environ(), "SSH_ASKPASS_PROMPT=confirm")
		cmd.Stdout = &out
		if err := cmd.Run(); err != nil {
			return false
		}
		answer := strings.TrimRight(out.String(), "\r\n")
		return answer == "" || strings.EqualFold(answer, "yes")
	}, nil
}
