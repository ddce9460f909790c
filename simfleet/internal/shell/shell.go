package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Process is what the commands see of the world. Every field must be set.
type Process struct {
	Host, User string // what hostname and whoami print
	PID        string // what $$ expands to
	Stdin      io.Reader
	Stdout     io.Writer
	Stderr     io.Writer
	// Random gives the bytes of /dev/urandom, from their beginning at each call.
	Random func() io.Reader
}

// An Exit is how a command line ended.
type Exit struct {
	// Status is the exit status, 0 to 255.
	Status uint32
	// Signal is the name, without SIG, of the signal that ended the line; ""
	// means that none did.
	Signal string
	// Broken says that the line was cut short because its context ended or an
	// output could not be written; Status and Signal then mean nothing.
	Broken bool
}

// Statuses that a shell sets itself.
const (
	statusFailure  = 1
	statusSyntax   = 2
	statusNotFound = 127
)

// The three ways in which a command stops the whole line.
type (
	exitLine   struct{ status uint32 }
	killed     struct{ signal string }
	brokenLine struct{ cause error }
)

func (e exitLine) Error() string   { return fmt.Sprintf("exit %d", e.status) }
func (e killed) Error() string     { return "killed by SIG" + e.signal }
func (e brokenLine) Error() string { return "broken off: " + e.cause.Error() }

// Run runs one command line to its end. It returns soon after ctx ends, unless
// a read or a write of p's streams keeps it.
func Run(ctx context.Context, line string, p Process) Exit {
	list, err := parse(line)
	if err != nil {
		if complain(p.Stderr, "sh: %v\n", err) != nil {
			return Exit{Broken: true}
		}
		return Exit{Status: statusSyntax}
	}
	return Script{list}.Run(ctx, p)
}

// A Script is a command line that means here what it means to every shell.
type Script struct{ list []simple }

// Parse reports whether line is such a line: not one with a command, an option, a
// file or a pattern that is not known here.
func Parse(line string) (Script, bool) {
	if name, _, more := strings.Cut(line, " "); more && isName(name) && commands[name] == nil {
		return Script{}, false // it may be long, as what starts another shell is
	}
	p := parser{rest: line}
	list, err := p.parse()
	if err != nil || p.strange {
		return Script{}, false
	}
	for _, c := range list {
		if !c.known() {
			return Script{}, false
		}
	}
	return Script{list}, true
}

// isName reports whether the text is a word of letters, which is a command's name as it stands there.
func isName(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < 'a' || 'z' < c {
			return false
		}
	}
	return text != ""
}

// Quick reports whether the line waits for nothing and writes little more than its own length.
func (s Script) Quick() bool {
	for _, c := range s.list {
		switch c.words[0][0].literal {
		case "echo", "true", ":", "false", "exit", "hostname", "whoami":
		default:
			return false
		}
	}
	return true
}

// known reports whether the command does all that its words ask for.
func (c simple) known() bool {
	args := make([]string, len(c.words))
	for i, w := range c.words {
		if args[i] = w[0].literal; len(w) > 1 || w[0].expand != 0 {
			args[i] = "$" // depends on the process
		}
	}
	name, args := args[0], args[1:]
	switch name {
	case "cat":
		return !slices.ContainsFunc(args, func(arg string) bool { return arg != "-" })
	case "head":
		if len(args) > 1 && args[0] == "-c" {
			args = append([]string{"-c" + args[1]}, args[2:]...)
		}
		return len(args) > 0 && strings.HasPrefix(args[0], "-c") &&
			(len(args) == 1 || len(args) == 2 && slices.Contains([]string{"-", "/dev/zero", "/dev/urandom"}, args[1]))
	case "hostname", "whoami":
		return len(args) == 0
	case "kill":
		if len(args) == 2 && strings.HasPrefix(args[0], "-") && signals[strings.TrimPrefix(args[0][1:], "SIG")] != "" {
			args = args[1:]
		}
		last := c.words[len(c.words)-1]
		return len(args) == 1 && len(last) == 2 && last[0] == part{expand: '$'} && last[1] == part{}
	}
	return commands[name] != nil
}

// Run is Run for a parsed line.
func (s Script) Run(ctx context.Context, p Process) Exit {
	status, err := s.run(ctx, p)
	var exit exitLine
	var kill killed
	switch {
	case err == nil:
		return Exit{Status: status}
	case errors.As(err, &exit):
		return Exit{Status: exit.status}
	case errors.As(err, &kill):
		return Exit{Signal: kill.signal}
	}
	return Exit{Broken: true}
}

func (s Script) run(ctx context.Context, p Process) (status uint32, err error) {
	for _, c := range s.list {
		if c.after == opAnd && status != 0 || c.after == opOr && status == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return 0, brokenLine{err}
		}
		if status, err = c.run(ctx, p, status); err != nil {
			return 0, err
		}
	}
	return status, nil
}

// run runs one simple command; last is the status of the one before it.
func (c simple) run(ctx context.Context, p Process, last uint32) (uint32, error) {
	p.Stdout, p.Stderr = c.redirect(p)
	args := c.expand(p.PID, last)
	command, ok := commands[args[0]]
	if !ok {
		return statusNotFound, complain(p.Stderr, "sh: %s: not found\n", args[0])
	}
	return command(call{ctx: ctx, Process: p, args: args[1:], last: last})
}

func (c simple) redirect(p Process) (stdout, stderr io.Writer) {
	stdout, stderr = p.Stdout, p.Stderr
	for _, r := range c.redirections {
		if r == outToErr {
			stdout = stderr
		} else {
			stderr = stdout
		}
	}
	return stdout, stderr
}

// complain prints to stderr; its error is one that ends the line.
func complain(stderr io.Writer, format string, args ...any) error {
	return write(stderr, fmt.Appendf(nil, format, args...))
}

func write(w io.Writer, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if _, err := w.Write(p); err != nil {
		return brokenLine{err}
	}
	return nil
}
