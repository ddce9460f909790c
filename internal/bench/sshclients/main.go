package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
)

// Exit codes of the process; the same as shoal's where they mean the same.
const (
	exitUsage       = 2
	exitFailed      = 1
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	if len(args) == 1 && args[0] == childArg {
		if err := serveChild(ctx, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n", err)
			return exitFailed
		}
		return 0
	}
	s, err := parseSettings(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "clients: %v\n", err)
		return exitUsage
	}
	err = compare(ctx, s)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "clients: interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(os.Stderr, "clients: %v\n", err)
		return exitFailed
	}
	return 0
}
