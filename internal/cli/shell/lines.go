package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"shoal/internal/cli/console"
	"shoal/internal/ui"
)

// A source has the lines to do.
type source interface {
	// next returns the next line, or io.EOF.
	next(prompt string) (string, error)
	interactive() bool
	// forget drops lines that were to be done without being typed.
	forget()
	close()
}

// maxLine bounds a line of a file, in bytes.
const maxLine = 1 << 20

func (s *shell) openLines(ctx context.Context) (source, error) {
	in, ok := s.stdio.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		scanner := bufio.NewScanner(s.stdio.In)
		scanner.Buffer(nil, maxLine)
		return &file{scanner}, nil
	}
	t := &typed{in: in, shell: s}
	t.terminal = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{(*keys)(t), s.stdio.Out}, "")
	t.terminal.AutoCompleteCallback = t.complete
	t.terminal.History = s.history(ctx)
	return t, nil
}

// A file is a source that is no terminal.
type file struct{ scanner *bufio.Scanner }

func (f *file) next(string) (string, error) {
	if f.scanner.Scan() {
		return f.scanner.Text(), nil
	}
	if err := f.scanner.Err(); err != nil {
		return "", err
	}
	return "", io.EOF
}

func (*file) interactive() bool { return false }
func (*file) forget()           {}
func (*file) close()            {}

// typed is a terminal. It is raw while a line is read, and as it was while a command runs, so that
// Ctrl-C sends its signal.
type typed struct {
	in       *os.File
	shell    *shell
	terminal *term.Terminal
	pending  []string // pasted lines that were confirmed
	pasting  bool     // a paste has begun and not ended
	edge     string   // the beginning of what may be pasteBegins or pasteEnds: the rest was not read yet
	pasted   int      // lines of it so far
}

// keys reads what is typed. Ctrl-C clears the line (Ctrl-A, Ctrl-K); the terminal would end.
type keys typed

const (
	ctrlA, ctrlC, ctrlK = 1, 3, 11
)

func (k *keys) Read(p []byte) (int, error) {
	if len(p) < 2 {
		return 0, io.ErrShortBuffer
	}
	n, err := k.in.Read(p[:len(p)/2])
	k.count(string(p[:n]))
	text := strings.ReplaceAll(string(p[:n]), string(rune(ctrlC)), string([]byte{ctrlA, ctrlK}))
	return copy(p, text), err
}

// Around what is pasted (bracketed paste of xterm).
const pasteBegins, pasteEnds = "\x1b[200~", "\x1b[201~"

// count counts the lines that are pasted.
func (k *keys) count(text string) {
	text, k.edge = k.edge+text, ""
	for text != "" {
		edge := pasteBegins
		if k.pasting {
			edge = pasteEnds
		}
		part, rest, found := strings.Cut(text, edge)
		if !found {
			k.edge = beginning(part, edge)
		}
		if k.pasting {
			k.pasted += strings.Count(part, "\r")
		}
		if text = rest; found {
			k.pasting = !k.pasting
		}
		if found && k.pasting {
			k.pasted = 0
		}
	}
}

// beginning returns the longest beginning of edge with which text ends.
func beginning(text, edge string) string {
	for n := min(len(text), len(edge)-1); n > 0; n-- {
		if strings.HasSuffix(text, edge[:n]) {
			return edge[:n]
		}
	}
	return ""
}

func (t *typed) next(prompt string) (string, error) {
	if len(t.pending) > 0 {
		text := t.pending[0]
		t.pending = t.pending[1:]
		return text, nil
	}
	var pasted []string
	for {
		text, err := t.read(prompt)
		if errors.Is(err, term.ErrPasteIndicator) {
			if pasted = append(pasted, text); t.pasting || len(pasted) < t.pasted {
				continue
			}
			return t.confirm(pasted)
		}
		if err != nil || len(pasted) == 0 {
			return text, err
		}
		return t.confirm(append(pasted, text))
	}
}

// confirm asks once whether pasted lines are to run, and returns the first one.
func (t *typed) confirm(pasted []string) (string, error) {
	if len(pasted) == 1 {
		return pasted[0], nil
	}
	answer, err := t.read(fmt.Sprintf("run these %d lines on %s? [y/N] ", len(pasted), ui.CountOf(len(t.shell.selected), "host", "hosts")))
	if errors.Is(err, term.ErrPasteIndicator) { // what is pasted is no answer
		answer, err = "", nil
	}
	if err != nil {
		return "", err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return "", nil
	}
	t.pending = pasted[1:]
	return pasted[0], nil
}

// read reads one line in raw mode.
func (t *typed) read(prompt string) (string, error) {
	fd := int(t.in.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", fmt.Errorf("preparing the terminal: %w", err)
	}
	defer console.RestoreBeforeSignals(func() { _ = term.Restore(fd, before) })()
	if w, h, err := term.GetSize(fd); err == nil && w > 0 {
		_ = t.terminal.SetSize(w, h)
	}
	t.terminal.SetBracketedPasteMode(true)
	defer t.terminal.SetBracketedPasteMode(false)
	t.terminal.SetPrompt(prompt)
	return t.terminal.ReadLine() //nolint:wrapcheck // io.EOF and ErrPasteIndicator are compared
}

func (*typed) interactive() bool { return true }
func (t *typed) forget()         { t.pending = nil }
func (*typed) close()            {}

// complete completes the word before the cursor when Tab is pressed: settings, and names of hosts.
func (t *typed) complete(line string, pos int, key rune) (string, int, bool) {
	if key != '\t' {
		return "", 0, false
	}
	begin := strings.LastIndexAny(line[:pos], " ,") + 1
	for begin < pos && begin == 0 && strings.ContainsRune("+-", rune(line[begin])) {
		begin++
	}
	word := line[begin:pos]
	all := t.words(word)
	if word == "" || len(all) == 0 {
		return line, pos, true
	}
	common := all[0]
	for _, w := range all[1:] {
		for !strings.HasPrefix(w, common) {
			common = common[:len(common)-1]
		}
	}
	if len(all) == 1 && strings.HasPrefix(common, ":") {
		common += " "
	}
	return line[:begin] + common + line[pos:], begin + len(common), true
}

// names are the settings, and what :only, :view and :mask take.
var names = []string{
	":all", ":become", ":chdir", ":diff", ":env", ":fanout", ":help", ":hosts", ":log", ":mask", ":only", ":quit", ":reconnect", ":settings", ":timeout", ":view",
	"failed", "differs", "unreached", "unknown", "full", "groups", "auto",
}

func (t *typed) words(prefix string) (found []string) {
	add := func(w string) {
		if strings.HasPrefix(w, prefix) && ui.Visible(w) == w && !slices.Contains(found, w) {
			found = append(found, w)
		}
	}
	for _, w := range names {
		add(w)
	}
	for _, g := range t.shell.groups {
		add("@" + g)
	}
	for i := range t.shell.base {
		add(t.shell.base[i].Host.Name)
	}
	if len(found) == 0 { // words of earlier commands
		for i := range min(t.terminal.History.Len(), maxHistory) {
			for _, w := range strings.Fields(t.terminal.History.At(i)) {
				add(w)
			}
		}
	}
	slices.Sort(found)
	return found
}
