package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"shoal/internal/bench/program"
)

func main() {
	if slices.Equal(os.Args[1:], []string{childArg}) {
		child()
		return
	}
	program.Main("clients", parseSettings, compare)
}

func child() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := serveChild(ctx, os.Stdin, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%v\n", err)
		os.Exit(1)
	}
}
