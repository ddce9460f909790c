// Package extcmd runs external programs that list hosts: group upcalls, inventory
// scripts, --hosts-from. Call [Shell] for a command line and [Program] for a file with
// arguments; both are bounded in time and output, and leave no process behind.
//
// The package inserts nothing into a command line. A caller that does must check the inserted
// text with [Word] or [Path].
package extcmd

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"shoal/hosts/internal/problem"
)

// Limits of a program. The zero value takes all defaults.
type Limits struct {
	// Timeout is how long it may run; 0 means 60 s.
	Timeout time.Duration
	// Output bounds its standard output, in bytes; 0 means 64 MiB.
	Output int
	// Waiting is called once, from another goroutine, for a program that runs for
	// longer than WaitingAfter; nil disables it.
	Waiting func(program string)
	// Cache answers for programs that it knows; nil runs them all.
	Cache *Cache
}

// WaitingAfter is how long a program runs before Limits.Waiting is called.
const WaitingAfter = 2 * time.Second

const (
	defaultTimeout = 60 * time.Second
	defaultOutput  = 64 << 20
	keptStderr     = 4 << 10
	// grace is how long the pipes may stay open after the end: something that
	// the program left in the background may hold them.
	grace = time.Second
)

// Shell runs a command line by sh -c and gives its standard output. An exit
// status other than 0, a signal, the timeout, too much output, and output that something it
// left running holds open 1 s after its end are errors. Its
// standard input is empty. dir is where it runs; "" means the current directory.
func Shell(ctx context.Context, command, dir string, limits Limits) ([]byte, error) {
	return run(ctx, []string{"/bin/sh", "-c", command}, dir, limits)
}

// Program runs a file with arguments, without a shell, and is otherwise as
// [Shell].
func Program(ctx context.Context, argv []string, dir string, limits Limits) ([]byte, error) {
	return run(ctx, argv, dir, limits)
}

// errTooMuch is why a program was stopped: it is not an error of its own.
var errTooMuch = errors.New("too much output")

func run(ctx context.Context, argv []string, dir string, limits Limits) ([]byte, error) {
	timeout, output := limits.Timeout, limits.Output
	if timeout == 0 {
		timeout = defaultTimeout
	}
	if output == 0 {
		output = defaultOutput
	}
	if limits.Cache != nil {
		return limits.Cache.run(argv, dir, output, func() ([]byte, error) { return start(ctx, argv, dir, limits, timeout, output) })
	}
	return start(ctx, argv, dir, limits, timeout, output)
}

// start runs a program, and waits for its end.
func start(ctx context.Context, argv []string, dir string, limits Limits, timeout time.Duration, output int) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stopped, stop := context.WithCancelCause(limited)
	defer stop(nil)

	stdout := &bounded{limit: output, full: func() { stop(errTooMuch) }}
	stderr := &bounded{limit: keptStderr}
	cmd := exec.CommandContext(stopped, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = grace
	ownGroup(cmd)
	if limits.Waiting != nil {
		note := time.AfterFunc(WaitingAfter, func() { limits.Waiting(strings.Join(argv, " ")) })
		defer note.Stop()
	}
	err := cmd.Run()
	endGroup(cmd)
	switch {
	case context.Cause(stopped) == errTooMuch: //nolint:errorlint // a cause is given as it was set
		return nil, problem.Faultf("is this the right command?", "more than %d bytes of output", output)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("stopped: %w", ctx.Err())
	case limited.Err() != nil:
		return nil, problem.Faultf("allow it more time, or ask why it hangs", "still running after %v", timeout)
	case errors.Is(err, exec.ErrWaitDelay):
		return nil, problem.Faultf("redirect the output of what it starts in the background, or have it wait",
			"it ended, and something that it left running still held its output: this may not be all")
	case err != nil:
		return nil, failure(err, stderr)
	}
	return stdout.kept, nil
}

// failure tells how a program ended, and the last line that it complained with.
func failure(err error, stderr *bounded) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return problem.Faultf("check that the program exists and may be executed", "%v", err)
	}
	said := strings.TrimSpace(string(stderr.kept))
	if last := strings.LastIndexByte(said, '\n'); last >= 0 {
		said = said[last+1:]
	}
	if said == "" {
		return problem.Faultf("run it by hand", "it ended with %v", exit)
	}
	return problem.Faultf("run it by hand", "it ended with %v and said %q", exit, problem.Bounded(said))
}

// bounded keeps the first bytes written to it and discards the rest. A bytes.Buffer would be
// filled beyond the bound by its ReadFrom.
type bounded struct {
	kept  []byte
	limit int
	full  func() // called when something is dropped; may be nil
}

func (b *bounded) Write(p []byte) (int, error) {
	room := min(b.limit-len(b.kept), len(p))
	b.kept = append(b.kept, p[:room]...)
	if room < len(p) && b.full != nil {
		b.full()
	}
	return len(p), nil
}

// maxWord bounds what is put into a command line, in bytes.
const maxWord = 255

// Word returns an error unless a name (of a group, a source or a node) is safe in a shell
// command line, quoted or not, and in a sed or grep pattern there: letters, digits and any of
// _ - . : @ + %, not beginning with '-', at most 255 bytes. A '/' would end such a pattern.
// Errors have a method Hint() string.
func Word(text string) error {
	return check("name", text, "_-.:@+%", maxWord)
}

// Path is Word for a path, which may also contain '/', ',' and '=' and have at most
// 4,096 bytes.
func Path(text string) error {
	return check("path", text, "_-.:@+%/,=", 4096)
}

func check(what, text, also string, limit int) error {
	advice := "what reaches a shell has letters, digits and any of " + also
	switch {
	case text == "":
		return problem.Faultf("write the "+what, "empty %s", what)
	case text[0] == '-':
		return problem.Faultf(advice, "%s %.80q begins with '-'", what, text)
	case len(text) > limit:
		return problem.Faultf("shorten it", "%s of %d bytes", what, len(text))
	}
	for _, r := range text {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			continue
		}
		if !strings.ContainsRune(also, r) {
			return problem.Faultf(advice, "character %q in %s %.80q", r, what, text)
		}
	}
	return nil
}
