package shoal_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"log"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh/agent"

	"shoal"
	"shoal/fleet"
	"shoal/hosts"
	"shoal/simfleet"
)

// Run a command on three hosts and print the results. The hosts are simulated, so
// that the example runs anywhere; with real ones, shoal.Hosts("web[1-3]") and
// shoal.Options{} suffice.
func ExampleRun() {
	fl, opts := simulated(simfleet.Options{Hosts: 3})
	defer fl.close()

	answers := make([]string, 3)
	for res, err := range shoal.Run(context.Background(), fl.Targets(), "echo hello from {index}", opts) {
		if err != nil {
			log.Fatal(err) // the run's own failure; a host's failure is a result
		}
		answers[res.Target.Index] = fmt.Sprintf("%s: %s", res.Outcome, res.Stdout.Bytes)
	}
	fmt.Print(strings.Join(answers, ""))
	// Output:
	// ok: hello from 0
	// ok: hello from 1
	// ok: hello from 2
}

// Leaving the loop stops the run: nothing more is started, and running commands are
// abandoned.
func ExampleRun_firstAnswer() {
	fl, opts := simulated(simfleet.Options{Hosts: 1000})
	defer fl.close()

	for res, err := range shoal.Run(context.Background(), fl.Targets(), "echo found", opts) {
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

// Send the same standard input to every host. A file does as well: io.NewSectionReader(f, 0,
// size).
func ExampleOptions_stdin() {
	fl, opts := simulated(simfleet.Options{Hosts: 2})
	defer fl.close()

	opts.Stdin = strings.NewReader("a line\n")
	for res, err := range shoal.Run(context.Background(), fl.Targets(), "cat", opts) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s", res.Stdout.Bytes)
	}
	// Output:
	// a line
	// a line
}

// Let programs on the hosts use an agent. Simulated hosts refuse it, as servers with
// AllowAgentForwarding no do, which the result says.
func ExampleLogin_forwardAgent() {
	fl, opts := simulated(simfleet.Options{Hosts: 1})
	defer fl.close()
	socket, stop := serveAgent()
	defer stop()

	opts.Login.ForwardAgent = socket
	for res, err := range shoal.Run(context.Background(), fl.Targets(), "echo ran", opts) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s%d signatures, without the agent: %t\n", res.Stdout.Bytes, res.AgentSignatures, res.Flags.Has(fleet.FlagNoAgent))
	}
	// Output:
	// ran
	// 0 signatures, without the agent: true
}

// serveAgent starts an agent without keys.
func serveAgent() (socket string, stop func()) {
	dir, err := os.MkdirTemp("", "agent-")
	if err != nil {
		log.Fatal(err)
	}
	socket = filepath.Join(dir, "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = agent.ServeAgent(agent.NewKeyring(), c)
				_ = c.Close()
			}()
		}
	}()
	return socket, func() {
		_ = l.Close()
		_ = os.RemoveAll(dir)
	}
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

// Take the output while commands run.
func Example_streaming() {
	fl, opts := simulated(simfleet.Options{Hosts: 2})
	defer fl.close()

	var logs [2]bytes.Buffer
	opts.Output = func(t shoal.Target, s fleet.Stream, p []byte) {
		if s == fleet.Stdout {
			logs[t.Index].Write(p)
		}
	}
	for res, err := range shoal.Run(context.Background(), fl.Targets(), "echo {index} begins; sleep 0.01; echo {index} ends", opts) {
		if err != nil {
			log.Fatal(err)
		}
		logs[res.Target.Index].WriteString(res.Outcome.String() + "\n")
	}
	fmt.Print(logs[0].String(), logs[1].String())
	// Output:
	// 0 begins
	// 0 ends
	// ok
	// 1 begins
	// 1 ends
	// ok
}

// Connect through a jump host; all targets share one connection to it.
func Example_jumpHost() {
	fl, opts := simulated(simfleet.Options{Hosts: 3, Forward: true})
	defer fl.close()

	opts.Config.Jump = "someone@" + fl.Host(0).String()
	targets, err := shoal.Hosts(fl.Host(1).String(), fl.Host(2).String())
	if err != nil {
		log.Fatal(err)
	}
	ok := 0
	for res, err := range shoal.Run(context.Background(), targets, "true", opts) {
		if err != nil {
			log.Fatal(err)
		}
		if res.Outcome == fleet.OutcomeOK && res.Target.Route.Via != nil {
			ok++
		}
	}
	fmt.Println(ok, "hosts behind the jump host,", fl.Stats().Accepted, "connections in all")
	// Output: 2 hosts behind the jump host, 3 connections in all
}

// Log in with a password. It goes only to hosts whose key is known.
func Example_password() {
	fl, opts := simulated(simfleet.Options{Hosts: 2, Password: "correct horse"})
	defer fl.close()

	opts.Config.Set = []string{"PubkeyAuthentication=no"}
	opts.Login = shoal.Login{
		User:     "someone",
		Password: func(context.Context) ([]byte, error) { return []byte("correct horse"), nil },
	}
	for res, err := range shoal.Run(context.Background(), fl.Targets(), "true", opts) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(res.Outcome)
	}
	// Output:
	// ok
	// ok
}

// Become root on each host. The password goes only to hosts whose key is known, when sudo asks.
func Example_become() {
	fl, opts := simulated(simfleet.Options{Hosts: 2, SudoPassword: "correct horse"})
	defer fl.close()

	opts.Login.User = "someone"
	opts.Remote.Become = &shoal.Become{
		Password: func(context.Context) ([]byte, error) { return []byte("correct horse"), nil },
	}
	for res, err := range shoal.Run(context.Background(), fl.Targets(), "id -un", opts) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%v: %s", res.Outcome, res.Stdout.Bytes)
	}
	// Output:
	// ok: root
	// ok: root
}

// Give commands a variable that neither ps on the hosts nor a journal shows.
func Example_secret() {
	fl, opts := simulated(simfleet.Options{Hosts: 1})
	defer fl.close()

	opts.Remote.EnvSecret = map[string][]byte{"TOKEN": []byte("correct horse")}
	for res, err := range shoal.Run(context.Background(), fl.Targets(), `echo "$TOKEN"`, opts) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s", res.Stdout.Bytes)
	}
	// Output: correct horse
}

// Run a local script with arguments.
func ExampleScript() {
	fl, opts := simulated(simfleet.Options{Hosts: 2})
	defer fl.close()
	script := filepath.Join(fl.dir, "greet.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"hello, $1\"\n"), 0o600); err != nil {
		log.Fatal(err)
	}

	for res, err := range shoal.Script(context.Background(), fl.Targets(), script, []string{"it's me"}, opts) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s", res.Stdout.Bytes)
	}
	// Output:
	// hello, it's me
	// hello, it's me
}

// Copy a file to every host, and tell where it was not there already.
func ExamplePush() {
	fl, opts := simulated(simfleet.Options{Hosts: 2})
	defer fl.close()
	motd := filepath.Join(fl.dir, "motd")
	if err := os.WriteFile(motd, []byte("welcome\n"), 0o600); err != nil {
		log.Fatal(err)
	}

	push := func() iter.Seq2[shoal.Result, error] {
		return shoal.Push(context.Background(), fl.Targets(), []string{motd}, "motd-{index}", shoal.PushOptions{Mode: "0644"}, opts)
	}
	for range 2 {
		for res, err := range push() {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("%v: %s", res.Outcome, res.Stdout.Bytes)
		}
	}
	// Output:
	// ok: written: 8 bytes
	// ok: written: 8 bytes
	// ok: the same already
	// ok: the same already
}

// Copy a file of every host here.
func ExamplePull() {
	fl, opts := simulated(simfleet.Options{Hosts: 2})
	defer fl.close()

	dir := filepath.Join(fl.dir, "pulled")
	for res, err := range shoal.Pull(context.Background(), fl.Targets(), []string{"/etc/passwd"}, dir, shoal.PullOptions{}, opts) {
		if err != nil || res.Outcome != fleet.OutcomeOK {
			log.Fatal(err, res.Err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "etc", "passwd"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(files), "files")
	// Output: 2 files
}

// Wait until hosts let us log in again.
func ExampleWait() {
	fl, opts := simulated(simfleet.Options{Hosts: 3})
	defer fl.close()

	back := 0
	for res, err := range shoal.Wait(context.Background(), fl.Targets(), shoal.WaitOptions{Limit: 5 * time.Minute}, opts) {
		if err != nil {
			log.Fatal(err)
		}
		if res.Outcome == fleet.OutcomeOK {
			back++
		}
	}
	fmt.Println(back, "are back")
	// Output: 3 are back
}

// Tell which hosts cannot be logged in to, and why.
func ExamplePing() {
	fl, opts := simulated(simfleet.Options{Hosts: 3, Fault: func(i int) simfleet.Fault {
		return map[int]simfleet.Fault{2: simfleet.FaultWrongHostkey}[i]
	}})
	defer fl.close()

	for res, err := range shoal.Ping(context.Background(), fl.Targets(), 0, opts) {
		if err != nil {
			log.Fatal(err)
		}
		if res.Outcome != fleet.OutcomeOK {
			fmt.Println(res.Target.Index, res.Phase, res.Reason)
		}
	}
	// Output: 2 hostkey hostkey_changed
}

// Read an inventory and choose from it by attributes. Addresses, users and keys that it
// names are used. Ansible's inventories and group files work the same way.
func Example_inventory() {
	fl, opts := simulated(simfleet.Options{Hosts: 3})
	defer fl.close()
	inventory := filepath.Join(fl.dir, "inventory")
	text := fmt.Sprintf("[web]\n%s env=prod\n%s env=test\n[db]\n%s env=prod\n", fl.Host(0), fl.Host(1), fl.Host(2))
	if err := os.WriteFile(inventory, []byte(text), 0o600); err != nil {
		log.Fatal(err)
	}

	list, err := hosts.Load(hosts.Options{Files: []string{inventory}, Patterns: []string{"web"}, Where: "env==prod"})
	if err != nil {
		log.Fatal(err)
	}
	opts.Inventory = list
	for res, err := range shoal.Run(context.Background(), list.Targets(1), "true", opts) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(res.Target.Host == fl.Host(0), res.Outcome)
	}
	// Output: true ok
}

// Start with one host, then half of them, then the rest, and stop when two have failed.
func Example_rollout() {
	fl, opts := simulated(simfleet.Options{Hosts: 10})
	defer fl.close()

	opts.Limits.Fanout = 1 // so that the numbers below are always the same
	opts.Rollout = shoal.Rollout{
		Stages:  []shoal.Amount{{Count: 1}, {Percent: 50}},
		MaxFail: &shoal.Amount{Count: 2},
	}
	var outcomes [fleet.NumOutcomes]int
	for res, err := range shoal.Run(context.Background(), fl.Targets(), "exit {index}", opts) {
		if err != nil {
			log.Fatal(err)
		}
		outcomes[res.Outcome]++
	}
	fmt.Println(outcomes[fleet.OutcomeOK], "ok,", outcomes[fleet.OutcomeFailed], "failed,", outcomes[fleet.OutcomeCancelled], "not started")
	// Output: 1 ok, 2 failed, 7 not started
}

// Record a run, stop it, and go on with it: what was done is not done again.
func Example_journal() {
	fl, opts := simulated(simfleet.Options{Hosts: 20})
	defer fl.close()
	ctx := context.Background()

	j, err := shoal.OpenJournal(ctx, filepath.Join(fl.dir, "state"))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	opts.Journal = j
	stop := make(chan struct{})
	opts.Drain, opts.Limits.Fanout = stop, 1
	cancelled := 0
	for res, err := range shoal.Run(ctx, fl.Targets(), "echo {index}", opts) {
		if err != nil {
			log.Fatal(err)
		}
		if res.Target.Index == 3 {
			close(stop)
		}
		if res.Outcome == fleet.OutcomeCancelled {
			cancelled++
		}
	}
	fmt.Println("some were left:", cancelled > 0)

	opts.Drain = nil
	for _, err := range j.Resume(ctx, "last", opts) {
		if err != nil {
			log.Fatal(err)
		}
	}
	ok := 0
	for res, err := range j.Results(ctx, "last") {
		if err != nil {
			log.Fatal(err)
		}
		if res.Outcome == fleet.OutcomeOK {
			ok++
		}
	}
	fmt.Println(ok, "ok,", fl.Stats().Execs, "commands in all")
	// Output:
	// some were left: true
	// 20 ok, 20 commands in all
}

// reboots is a program of one's own: it reboots hosts and returns those where it is not
// certain that they got the command.
func reboots(ctx context.Context, targets func(func(shoal.Target) bool), opts shoal.Options) (uncertain []string, err error) {
	for res, err := range shoal.Run(ctx, targets, "echo reboot {index}", opts) {
		if err != nil {
			return nil, err
		}
		if !res.Outcome.Ran() && !res.Outcome.DidNotRun() {
			uncertain = append(uncertain, res.Target.Host.Name)
		}
	}
	slices.Sort(uncertain)
	return uncertain, nil
}

// Test one's own program against a simulated fleet, whose hosts can misbehave. The fleet
// remembers what it was asked to do.
func Example_testing() {
	fl, opts := simulated(simfleet.Options{Hosts: 100, Fault: func(i int) simfleet.Fault {
		switch i {
		case 5:
			return simfleet.FaultAuthRefused // certainly did not run
		case 7:
			return simfleet.FaultNoExitStatus // ran, and nobody knows how it ended
		}
		return simfleet.FaultNone
	}})
	defer fl.close()

	uncertain, err := reboots(context.Background(), fl.Targets(), opts)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(uncertain), "uncertain:", uncertain[0] == fl.Host(7).Name)
	fmt.Println(fl.Stats().Execs, "commands arrived")
	// Output:
	// 1 uncertain: true
	// 99 commands arrived
}

// A simulation is a fleet with the files to reach it.
type simulation struct {
	*simfleet.Fleet
	dir string
}

// simulated starts a fleet and returns options that reach it.
func simulated(o simfleet.Options) (*simulation, shoal.Options) {
	fl, err := simfleet.Start(context.Background(), o)
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "shoal-example-")
	if err != nil {
		log.Fatal(err)
	}
	key, known := filepath.Join(dir, "key"), filepath.Join(dir, "known_hosts")
	for path, write := range map[string]func(*bytes.Buffer) error{
		key:   func(b *bytes.Buffer) error { return fl.WriteKey(b) },
		known: func(b *bytes.Buffer) error { return fl.WriteKnownHosts(b) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			log.Fatal(err)
		}
	}
	return &simulation{fl, dir}, shoal.Options{
		Login:    shoal.Login{User: "someone", Identities: []string{key}, Agent: shoal.NoAgent},
		Config:   shoal.Config{File: "none"},
		HostKeys: shoal.HostKeys{Files: []string{known}},
	}
}

func (s *simulation) close() {
	_ = s.Close()
	_ = os.RemoveAll(s.dir)
}
