// Command shoal-hub serves NATS with JetStream for shoal run --cluster.
package main

import (
	"context"
	"os"

	"shoal/internal/cli/console"
	"shoal/internal/cluster/hubcli"
)

func main() {
	os.Exit(hubcli.Main(context.Background(), os.Args[1:], console.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
