// Command shoal-bench measures shoal and draws what it measured.
package main

import (
	"context"
	"os"

	"shoal/internal/bench/benchcli"
	"shoal/internal/cli/console"
)

func main() {
	os.Exit(benchcli.Main(context.Background(), os.Args[1:], console.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
