// Command shoal runs a command on ten thousand machines over SSH.
package main

import (
	"context"
	"os"

	"shoal/internal/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
