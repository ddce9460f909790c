// Command shoal runs a command on ten thousand machines over SSH.
package main

import (
	"context"
	"os"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], console.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
