package shoal_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"shoal"
	"shoal/fleet"
	"shoal/simfleet"
)

// Run a command on three hosts and print the results. The hosts are simulated, so
// that the example runs anywhere; with real ones, Options{} and
// shoal.Hosts("web[1-3]") suffice.
func ExampleRun() {
	targets, opts, done := simulated(3)
	defer done()

	answers := make([]string, 3)
	for res, err := range shoal.Run(context.Background(), opts, targets, "echo hello from {index}") {
		if err != nil {
			log.Fatal(err) // the run's own failure; a host's failure is a result
		}
		answers[res.Target.Index] = fmt.Sprintf("%s: %s", res.Outcome, res.Stdout.Bytes)
	}
	for _, a := range answers {
		fmt.Print(a)
	}
	// Output:
	// ok: hello from 0
	// ok: hello from 1
	// ok: hello from 2
}

// Leaving the loop stops the run: nothing more is started, and running commands are
// abandoned.
func ExampleRun_firstAnswer() {
	targets, opts, done := simulated(1000)
	defer done()

	for res, err := range shoal.Run(context.Background(), opts, targets, "echo found") {
		if err != nil {
			log.Fatal(err)
		}
		if res.Outcome == fleet.OutcomeOK {
			fmt.Printf("%s", res.Stdout.Bytes)
			break
		}
	}
	// Output: found
}

// Hosts reads expressions as the command line does.
func ExampleHosts() {
	targets, err := shoal.Hosts("web[08-10]", "root@db1:2222")
	if err != nil {
		log.Fatal(err)
	}
	for t := range targets {
		fmt.Println(t.Index, t.Host)
	}
	// Output:
	// 0 web08
	// 1 web09
	// 2 web10
	// 3 root@db1:2222
}

// simulated starts n simulated hosts and returns what is needed to reach them.
func simulated(n int) (targets func(func(shoal.Target) bool), opts shoal.Options, done func()) {
	fl, err := simfleet.Start(context.Background(), simfleet.Options{Hosts: n})
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "shoal-example-")
	if err != nil {
		log.Fatal(err)
	}
	opts = shoal.Options{
		User:       "someone",
		Identities: []string{filepath.Join(dir, "key")},
		KnownHosts: []string{filepath.Join(dir, "known_hosts")},
		Agent:      shoal.NoAgent,
	}
	if err := writeFleet(fl, opts); err != nil {
		log.Fatal(err)
	}
	return fl.Targets(), opts, func() {
		_ = fl.Close()
		_ = os.RemoveAll(dir)
	}
}
