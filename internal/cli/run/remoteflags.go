package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/connect"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/plan"
	"shoal/internal/remote"
	"shoal/internal/run"
	"shoal/internal/spool"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/internal/transfer"
	"shoal/internal/ui"
)

// RemoteFlags are the flags for the wrapper on the hosts.
type RemoteFlags struct {
	flags.BecomeFlags
	Wrapper   run.Remote
	secrets   []string // of --env-secret
	agent     agentFlags
	stdin     bool
	pty       bool
	stdinFrom string
}

// Command returns the flags for what the command gets as a group.
func (f *RemoteFlags) Command() flags.FlagGroup {
	g := flags.NewGroup("Command")
	g.BoolVar(&f.stdin, "stdin", false, "send all of standard input to every host; without it commands get none")
	g.StringVar(&f.stdinFrom, "stdin-from", "", "send what is in `FILE` to every host as standard input")
	g.StringArrayVar(&f.Wrapper.Env, "env", nil, "set `NAME=VALUE` for the command, by the wrapper; not for secrets: ps on the host shows the value, and the journal keeps it; -o SetEnv sends it as ssh does")
	g.StringArrayVar(&f.secrets, "env-secret", nil, "set a variable for the command whose value is secret: `NAME` takes ours of that name, or asks for it; NAME@FILE reads it; it goes through standard input, to hosts with a known key, and neither ps nor the journal has it")
	g.StringVar(&f.Wrapper.Chdir, "chdir", "", "run the command in `DIR`; where that cannot be entered nothing runs")
	g.StringVar(&f.Wrapper.Umask, "umask", "", "run the command with the umask `MODE`, in octal")
	f.agent.register(g)
	g.BoolVar(&f.pty, "pty", false, "give commands a terminal, as RequestTTY of ssh_config does: both streams become one, with CR LF")
	return g
}

// SetPTY sets which commands get a terminal, of which type and size. One of type dumb gets no
// escape sequences, which nobody would interpret if our output is no terminal.
func (f *RemoteFlags) SetPTY(o *connect.Options, stdio console.Stdio) {
	switch w := &f.Wrapper; {
	case f.pty:
		o.PTY = plan.PTYForAll
	case !w.Wraps() && w.Become == nil && w.Push == nil && w.Pull == nil && !f.stdin && f.stdinFrom == "":
		o.PTY = plan.PTYAsConfigured
	}
	f.Wrapper.PTY = TerminalOf(stdio)
}

// TerminalOf returns the type and size of the terminal that shows what commands write; the zero
// PTY if there is none.
func TerminalOf(stdio console.Stdio) (p ssh.PTY) {
	out, ok := stdio.Out.(*os.File)
	if !ok {
		return p
	}
	columns, rows, err := term.GetSize(int(out.Fd()))
	if err != nil {
		return p
	}
	p = ssh.PTY{Term: os.Getenv("TERM"), Columns: uint32(columns), Rows: uint32(rows)}
	if len(p.Term) > maxTerm {
		p.Term = ""
	}
	return p
}

// maxTerm limits the name of a terminal's type, which comes from the environment.
const maxTerm = 64

// InputSent reports whether commands get the standard input of this process.
// A push reads files instead.
func (f *RemoteFlags) InputSent() bool {
	return f.stdin || f.Wrapper.Push != nil || f.Wrapper.Pull != nil
}

// secretNames returns the names in --env-secret, and where each value comes from: a file, or ""
// for our environment.
func (f *RemoteFlags) secretNames() (names, files []string, err error) {
	for i, text := range f.secrets {
		if strings.ContainsRune(text, '=') { // and whatever is behind it is not repeated
			return nil, nil, hint.New(fmt.Sprintf("--env-secret %d has a value, which ps here shows to everybody", i+1),
				"give NAME for a variable of this program's environment, or NAME@FILE")
		}
		name, file, found := strings.Cut(text, "@")
		if found && file == "" {
			return nil, nil, fmt.Errorf("--env-secret %d names no file behind @", i+1)
		}
		names, files = append(names, name), append(files, file)
	}
	return names, files, nil
}

// readSecrets gets the values of the secret variables.
func (f *RemoteFlags) readSecrets(ctx context.Context) error {
	names, files, err := f.secretNames()
	if err != nil || len(names) == 0 {
		return err
	}
	values := make([][]byte, len(names))
	for i, name := range names {
		source := console.AskVariable(name)
		if value, ours := os.LookupEnv(name); files[i] != "" {
			source = auth.FromWholeFile(files[i])
		} else if ours {
			source = func(context.Context) ([]byte, error) { return []byte(value), nil }
		}
		if values[i], err = source(ctx); err != nil {
			return hint.Wrap(fmt.Errorf("the secret variable %s: %w", name, err), fmt.Sprintf("set %s in the environment of shoal, or give %[1]s@FILE", name))
		}
	}
	return f.Wrapper.Secrets.Fill(values)
}

// An openInput is what commands are sent through standard input.
type openInput struct {
	io.Closer
	secrets *remote.Secrets
}

func (o openInput) Close() error {
	o.secrets.Wipe()
	return o.Closer.Close()
}

// OpenInput reads the standard input for the commands, if one is asked for, and says how much
// it is, and the values of secret variables. The caller closes it.
func (f *RemoteFlags) OpenInput(ctx context.Context, stdio console.Stdio) (io.Closer, error) {
	if err := f.readSecrets(ctx); err != nil {
		return nil, err
	}
	in, err := f.openInput(ctx, stdio)
	if err != nil {
		f.Wrapper.Secrets.Wipe()
		return nil, err
	}
	return openInput{in, f.Wrapper.Secrets}, nil
}

func (f *RemoteFlags) openInput(ctx context.Context, stdio console.Stdio) (io.Closer, error) {
	var in *spool.Input
	var err error
	switch {
	case f.stdin:
		if t, ok := stdio.In.(*os.File); ok && term.IsTerminal(int(t.Fd())) {
			console.Say(stdio.Err, "reading standard input from the terminal; Ctrl-D ends it")
		}
		in, err = spool.Read(ctx, stdio.In)
	case f.stdinFrom != "":
		in, err = spool.Open(ctx, f.stdinFrom)
	default:
		return io.NopCloser(nil), nil
	}
	if err != nil {
		return nil, err
	}
	console.Say(stdio.Err, "each command gets %s of standard input", ui.Bytes(in.Size()))
	f.Wrapper.Input, f.Wrapper.InputDigest = in, in.Digest()
	return in, nil
}

// TellCommand says what the command gets, for a dry run: names, no values of variables.
func (f *RemoteFlags) TellCommand(w io.Writer) {
	if s := f.Wrapper.Script; s != nil {
		console.Say(w, "in place of a command runs the script %q, SHA-256 %s, by %s", s.Path, s.Digest(), ui.Visible(cmp.Or(s.Interpreter(), "itself")))
	}
	var gets []string
	switch {
	case f.stdin:
		gets = append(gets, "all of our standard input")
	case f.stdinFrom != "":
		gets = append(gets, fmt.Sprintf("the file %q as standard input", f.stdinFrom))
	}
	for _, variable := range f.Wrapper.Env {
		name, _, _ := strings.Cut(variable, "=")
		gets = append(gets, "the variable "+name)
	}
	for _, name := range f.Wrapper.Secrets.Names() {
		gets = append(gets, "the secret variable "+name)
	}
	if dir := f.Wrapper.Chdir; dir != "" {
		gets = append(gets, fmt.Sprintf("the directory %q", dir))
	}
	if mode := f.Wrapper.Umask; mode != "" {
		gets = append(gets, "the umask "+mode)
	}
	if f.pty {
		gets = append(gets, "a terminal")
	}
	if b := f.Wrapper.Become; b != nil {
		directly := ""
		if b.Direct {
			directly = ", directly"
		}
		gets = append(gets, fmt.Sprintf("the user %s by %s%s", b.User, b.Method, directly))
	}
	if f.agent.forAll() {
		gets = append(gets, "the agent")
	}
	if len(gets) > 0 {
		console.Say(w, "each command gets %s", ui.Visible(strings.Join(gets, ", ")))
	}
}

// SetCopy makes the run copy files, unless both are nil.
func (f *RemoteFlags) SetCopy(push *transfer.Push, pull *transfer.Pull) error {
	w := &f.Wrapper
	if w.Push, w.Pull = push, pull; push == nil && pull == nil {
		return nil
	}
	if f.stdin || f.stdinFrom != "" || f.pty || f.agent.given() || w.Wraps() {
		return errors.New("the run copies files: --stdin, --pty, --forward-agent, --env, --env-secret, --chdir, --umask, --once, --detach, --kill-on-cancel and --remote-timeout are for commands")
	}
	return nil
}

// Remote returns the flags as a group.
func (f *RemoteFlags) Remote() flags.FlagGroup {
	g := flags.NewGroup("Far end (the command goes there in a wrapper for sh)")
	w := &f.Wrapper
	g.BoolVar(&w.Once, "once", false, "leave a marker there that makes a second start impossible; shoal resolve reads it later")
	g.Var((*flags.Seconds)(&w.Timeout), "remote-timeout", "have the far end stop the command after this time: TERM, and KILL 5s later (default: never)")
	g.BoolVar(&w.KillOnCancel, "kill-on-cancel", false, "when a command is given up (Ctrl-C twice, --timeout, --command-timeout), kill its process group there")
	g.BoolVar(&w.Detach, "detach", false, "let the command run on there without us; shoal collect fetches what came of it")
	g.StringVar(&w.Dir, "run-dir", "", "the `DIR` for markers there (default: .local/state/shoal/marks in the account's home)")
	return g
}

// Validate returns an error for flags that exclude each other, and sets whom commands run as.
// journalled reports whether the run is recorded in the journal, given which flags were given.
// h may read standard input too.
func (f *RemoteFlags) Validate(journalled bool, h *flags.HostFlags, given func(name string) bool) (err error) {
	if f.Wrapper.Become, err = f.BecomeOptions(given); err != nil {
		return err
	}
	names, _, err := f.secretNames()
	if err != nil {
		return err
	}
	if f.Wrapper.Secrets, err = remote.NewSecrets(names); err != nil {
		return err
	}
	if err := f.agent.validate(f.Wrapper.Detach, h.NoAgent()); err != nil {
		return err
	}
	switch w := &f.Wrapper; {
	case f.BecomeStdin() && (h.FromStdin() || f.stdin || flags.IsStdin(f.stdinFrom)):
		return hint.New("--become-password-file reads standard input, which another flag reads too", "put the password into a file of its own, with mode 0600")
	case w.Become != nil && w.Become.Terminal() && (f.stdin || f.stdinFrom != "" || w.Script != nil):
		return hint.New("doas and su read a password from a terminal only, which has no standard input: no script and no --stdin goes with them",
			"use --become-method sudo, or let doas ask for no password (nopass)")
	case w.Become != nil && w.Become.Direct && (f.stdin || f.stdinFrom != "" || f.pty):
		return hint.New("--become-direct goes with neither a standard input nor a terminal", "leave out --stdin and --pty, or --become-direct")
	case f.stdin && f.stdinFrom != "":
		return errors.New("--stdin and --stdin-from cannot go together")
	case (f.stdin || flags.IsStdin(f.stdinFrom)) && h.FromStdin():
		return hint.New("--stdin sends standard input to the hosts, and cannot name hosts, or the password, too",
			"put the hosts into a file for --hostfile, or the input into one for --stdin-from")
	case f.pty && (f.stdin || f.stdinFrom != ""):
		return hint.New("--pty and --stdin cannot go together: a terminal changes what is typed, and does not end", "leave out one of them")
	case f.pty && w.Wraps():
		return hint.New("--pty cannot go with --env, --env-secret, --chdir, --umask, --once, --detach, --kill-on-cancel and --remote-timeout: "+
			"their wrapper reports on a stream of its own, which a terminal does not have", "leave out --pty, or those")
	case w.Secrets != nil && w.Detach:
		return hint.New("--env-secret cannot go with --detach: the host would have to store the values", "let the command read a file there that only its user can read")
	case w.Dir != "" && !w.Marked():
		return errors.New("--run-dir is for markers, which --once, --kill-on-cancel and --detach make")
	case w.Detach && w.KillOnCancel:
		return errors.New("--detach lets go of the command, so that --kill-on-cancel has nothing to kill")
	case (w.Once || w.Detach) && !journalled:
		return hint.New("--once and --detach need the journal, which knows later where to ask",
			"leave out --no-journal and --state-dir none")
	}
	return f.Wrapper.Validate()
}

// Recall sets those of these flags, and of Command, that are not given in flags from the
// options of an earlier run, which those of the library have too.
func Recall(info *journal.RunInfo, flags *pflag.FlagSet) error {
	had, err := run.RemoteOf(info)
	if err != nil {
		return err
	}
	kept := map[string][]string{"env-secret": run.SecretNames(info), "env": had.Env, "chdir": {had.Chdir}, "umask": {had.Umask}}
	if b := had.Become; b != nil {
		kept["become"], kept["become-method"], kept["become-user"] = []string{"true"}, []string{string(b.Method)}, []string{b.User}
		if b.Direct {
			kept["become-direct"] = []string{"true"}
		}
		kept["become-timeout"] = []string{b.Timeout.String()}
	}
	for _, name := range run.RemoteOptions {
		if value, ok := info.Options[name]; ok {
			kept[name] = []string{value}
		}
	}
	for name, values := range kept {
		if flags.Changed(name) || len(values) == 0 || values[0] == "" {
			continue
		}
		if err := setFlag(flags.Lookup(name), values); err != nil {
			return fmt.Errorf("the run's own --%s: %w", name, err)
		}
	}
	return nil
}
