package shell

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"shoal/internal/cli/console"
	"shoal/internal/hint"
	"shoal/internal/output"
	"shoal/internal/ui"
)

// openLog appends to another file from now on; "" ends the log.
func (s *shell) openLog(path string) error {
	if path == "" {
		return s.closeLog()
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("the log %.200q is no file", path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	if err := s.closeLog(); err != nil {
		return errors.Join(err, f.Close())
	}
	s.log = f
	return nil
}

func (s *shell) closeLog() error {
	if s.log == nil {
		return nil
	}
	err := s.log.Close()
	if s.log = nil; err != nil {
		return fmt.Errorf("closing the log: %w", err)
	}
	return nil
}

func (s *shell) logName() string {
	if s.log == nil {
		return ""
	}
	return s.log.Name()
}

// logLine logs a line that is to be done.
func (s *shell) logLine(text string) {
	s.inLog(func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s %s%s\n", time.Now().Format(time.RFC3339), s.prompt(), text)
		return err //nolint:wrapcheck // inLog does
	})
}

// inLog writes into the log, if there is one. The first failure ends it, and is said.
func (s *shell) inLog(write func(io.Writer) error) {
	if s.log == nil {
		return
	}
	if err := write(s.log); err != nil {
		name := s.log.Name()
		_ = s.closeLog()
		console.Complain(s.stdio.Err, hint.Wrap(fmt.Errorf("the log %.200q ended: %w", name, err), ":log FILE begins another"))
		s.code = max(s.code, console.ExitUnknown)
	}
}

// errs writes to standard error and the log.
func (s *shell) errs() io.Writer { return bothErrs{s, s.wrapped(s.stdio.Err)} }

type bothErrs struct {
	shell *shell
	w     io.Writer
}

func (b bothErrs) Write(p []byte) (int, error) {
	b.shell.inLog(func(w io.Writer) error { _, err := w.Write(p); return err }) //nolint:wrapcheck // inLog does
	return b.w.Write(p)                                                         //nolint:wrapcheck // it is the writer's
}

// wrapped returns w, or what breaks lines between words if standard error is a terminal.
func (s *shell) wrapped(w io.Writer) io.Writer {
	if o := ui.Inspect(s.stdio.Err, os.Getenv); o.Terminal {
		return wrapped{w, o.Columns}
	}
	return w
}

type wrapped struct {
	w       io.Writer
	columns func() int
}

func (b wrapped) Write(p []byte) (int, error) {
	if _, err := io.WriteString(b.w, ui.Wrap(string(p), b.columns())); err != nil {
		return 0, err //nolint:wrapcheck // it is the writer's
	}
	return len(p), nil
}

// say tells the person, and the log.
func (s *shell) say(format string, args ...any) { console.Say(s.errs(), format, args...) }

// print shows lines of ours.
func (s *shell) print(text string) error {
	_, err := fmt.Fprintln(s.stdio.Out, text)
	return err //nolint:wrapcheck // it is the writer's
}

func (s *shell) out(w io.Writer) output.Out {
	o := ui.Inspect(w, os.Getenv)
	return output.Out{W: w, Escape: o.Terminal, Colour: o.Colour, Columns: o.Columns}
}

// columns returns the width of the terminal; 0 if there is none.
func (s *shell) columns() int {
	if o := ui.Inspect(s.stdio.Out, os.Getenv); o.Terminal {
		return o.Columns()
	}
	return 0
}
