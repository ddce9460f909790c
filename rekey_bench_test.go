//go:build unix

package shoal_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"shoal"
	"shoal/fleet"
	"shoal/simfleet"
)

var (
	idleHosts  = flag.Int("idle-hosts", 100, "connections of BenchmarkHeldIdle")
	idleRekeys = flag.Duration("idle-rekeys", 2*time.Second, "after which time BenchmarkHeldIdle has each connection exchange keys")
	idleFor    = flag.Duration("idle-for", 5*time.Second, "how long BenchmarkHeldIdle measures")
)

// fleetVariable has this program, started again, be the fleet of BenchmarkHeldIdle: with that many hosts.
const fleetVariable = "SHOAL_BENCH_FLEET"

// serveFleet is the fleet in a process of its own. It prints where its files are, and its counts for
// each line of its standard input.
func serveFleet(hosts string) {
	var n int
	if _, err := fmt.Sscan(hosts, &n); err != nil {
		log.Fatal(err)
	}
	fl, opts := simulated(simfleet.Options{Hosts: n, DiscardLog: true})
	defer fl.close()
	out := json.NewEncoder(os.Stdout)
	var targets []shoal.Target
	for t := range fl.Targets() {
		targets = append(targets, t)
	}
	if err := out.Encode(benchFleet{targets, opts.Login.Identities[0], opts.HostKeys.Files[0]}); err != nil {
		log.Fatal(err)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := out.Encode(fl.Stats()); err != nil {
			log.Fatal(err)
		}
	}
}

// A benchFleet is what a client needs.
type benchFleet struct {
	Targets         []shoal.Target
	Key, KnownHosts string
}

// BenchmarkHeldIdle measures what connections cost that are held and idle, each of which we have exchange
// keys again and again: keepalives, key exchanges and nothing else. The servers are another process.
// Ten thousand of them, each minute: -idle-hosts 10000 -idle-rekeys 60s -idle-for 2m -benchtime 1x.
func BenchmarkHeldIdle(b *testing.B) {
	command := exec.CommandContext(b.Context(), os.Args[0])
	command.Env, command.Stderr = append(os.Environ(), fmt.Sprintf("%s=%d", fleetVariable, *idleHosts)), os.Stderr
	in, err := command.StdinPipe()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	must(err)
	out, err := command.StdoutPipe()
	must(err)
	must(command.Start())
	defer func() {
		_ = in.Close() // it ends
		_ = command.Wait()
	}()
	said := json.NewDecoder(out)
	var fl benchFleet
	must(said.Decode(&fl))
	stats := func() (s simfleet.Stats) {
		_, err := io.WriteString(in, "\n")
		must(err)
		must(said.Decode(&s))
		return s
	}
	pool, err := shoal.NewPool(shoal.Options{
		Login:  shoal.Login{User: "someone", Identities: []string{fl.Key}, Agent: shoal.NoAgent},
		Config: shoal.Config{File: "none", Set: []string{fmt.Sprintf("RekeyLimit=default %d", int(idleRekeys.Seconds()))}}, HostKeys: shoal.HostKeys{Files: []string{fl.KnownHosts}},
	}, shoal.Hold{MaxAge: -1})
	must(err)
	defer func() { _ = pool.Close() }()
	for res, err := range pool.Run(b.Context(), func(yield func(shoal.Target) bool) {
		for _, t := range fl.Targets {
			if !yield(t) {
				return
			}
		}
	}, "true") {
		if err != nil || res.Outcome != fleet.OutcomeOK {
			b.Fatal(res, err)
		}
	}
	for b.Loop() {
		before, cpu, began := stats(), cpuTime(b), time.Now()
		time.Sleep(*idleFor) // what is measured is what happens meanwhile
		used, passed := cpuTime(b)-cpu, time.Since(began)
		rekeys := stats().Rekeys - before.Rekeys
		if idle := pool.Idle(); idle != *idleHosts {
			b.Errorf("%d of %d connections are left", idle, *idleHosts)
		}
		b.ReportMetric(float64(rekeys)/passed.Seconds(), "rekeys/s")
		b.ReportMetric(100*used.Seconds()/passed.Seconds(), "%core")
		b.ReportMetric(float64(used.Microseconds())/float64(max(rekeys, 1)), "us/rekey")
	}
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
