package bench_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"shoal/internal/bench"
	"shoal/internal/bench/benchcli"
	"shoal/internal/cli/console"
)

// role is the environment variable that selects what the test binary does when
// it starts itself.
const (
	role       = "SHOAL_BENCH_TEST_ROLE"
	roleShoal  = "shoal"  // the program
	roleParent = "parent" // starts a fleet and is then killed
)

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case roleShoal:
		os.Exit(benchcli.Main(context.Background(), os.Args[1:], console.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	case roleParent:
		if err := parent(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// parent starts a fleet, prints its address, and waits to be killed.
func parent() error {
	if err := os.Setenv(role, roleShoal); err != nil {
		return err
	}
	o, err := fleetOptions(1)
	if err != nil {
		return err
	}
	f, _, err := bench.StartFleet(context.Background(), o)
	if err != nil {
		return err
	}
	for t := range f.Targets(1) {
		fmt.Println(t.Address())
	}
	select {}
}

func fleetOptions(hosts int) (bench.FleetOptions, error) {
	program, err := os.Executable()
	return bench.FleetOptions{Program: []string{program, "fleet"}, Hosts: hosts}, err
}
