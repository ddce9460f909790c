package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"shoal/internal/needs"
)

// Tab completes words in shells as a person uses them: what was begun is finished, and what is
// ambiguous is listed.
func TestCompletionKeys(t *testing.T) {
	t.Parallel()
	for _, sh := range []struct{ name, start, load string }{
		{"bash", "PS1='$ ' bash --norc --noprofile -i", "source <(shoal completion bash)"},
		{"zsh", "PS1='$ ' zsh -f -i", "autoload -U compinit; compinit -u -D; source <(shoal completion zsh)"},
		{"fish", "fish --no-config -i", "shoal completion fish | source"},
	} {
		t.Run(sh.name, func(t *testing.T) {
			t.Parallel()
			needs.Program(t, sh.name)
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "h"), []byte("web[1-3]:22\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			p := openPane(t, dir, sh.start)
			p.press(sh.load + "; echo load''ed\n")
			p.await("loaded")
			p.press("shoal run --host-key ac\t")
			p.await("cept-new")
			p.press("-w a --pipe\t")
			p.await("line")
			p.press("\x15")
			p.press("shoal run --hostfile h -w web1:22,web2:\t")
			p.press("\x01echo \n")
			p.await("shoal run --hostfile h -w web1:22,web2:22\r\n")
			p.press("shoal his\t")
			p.await("tory")
			p.press("\x15")
			p.press("exit\n")
		})
	}
}
