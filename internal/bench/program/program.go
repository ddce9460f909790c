// Package program has what the programs that measure have in common: signals, exit codes,
// --quick, and the shoal that they run.
package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"

	"shoal/internal/hint"
)

// Exit codes of the process; the same as shoal's where they mean the same.
const (
	exitUsage       = 2
	exitFailed      = 1
	exitInterrupted = 130
)

// Main parses the arguments, measures until a signal, and ends the process.
func Main[S any](name string, parse func(args []string) (S, error), measure func(context.Context, S) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := 0
	settings, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, pflag.ErrHelp):
		err = nil
	case err != nil:
		code = exitUsage
	default:
		if err = measure(ctx, settings); ctx.Err() != nil {
			code, err = exitInterrupted, errors.New("interrupted; what was measured so far is kept")
		} else if err != nil {
			code = exitFailed
		}
	}
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	}
	os.Exit(code)
}

// Parse parses flags, which stand alone. With *isQuick, flags that are not given take their
// values from quick.
func Parse(flags *pflag.FlagSet, args []string, isQuick *bool, quick map[string]string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if !*isQuick {
		return nil
	}
	for name, value := range quick {
		if flags.Changed(name) {
			continue
		}
		if err := flags.Set(name, value); err != nil {
			return fmt.Errorf("setting --%s for --quick: %w", name, err)
		}
	}
	return nil
}

// Shoal returns the absolute path of the program shoal: programs are started in other
// directories.
func Shoal(path string) (string, error) {
	full, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(full)
	}
	if err != nil {
		return "", hint.Wrap(fmt.Errorf("finding shoal: %w", err), "make build")
	}
	return full, nil
}
