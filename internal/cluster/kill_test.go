package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/connect"
	"shoal/simfleet"
)

// workerEnv, in the environment of a test program, makes it a worker.
const workerEnv = "SHOAL_TEST_WORKER"

type workerProcess struct {
	URL, Name, Signers, Key, KnownHosts, User string
	Room                                      int
}

// beWorker is a worker until it is killed.
func beWorker(config string) error {
	var p workerProcess
	if err := json.Unmarshal([]byte(config), &p); err != nil {
		return err
	}
	signers, err := parseSigners(strings.NewReader(p.Signers))
	if err != nil {
		return err
	}
	conn, err := Connect(ConnectOptions{URL: p.URL})
	if err != nil {
		return err
	}
	w, err := NewWorker(conn, WorkerOptions{
		Pool: DefaultPool, Name: p.Name, Signers: signers, Room: p.Room, beat: 100 * time.Millisecond,
		Connect: connect.Options{User: p.User, SSHConfig: "none", Agent: connect.NoAgent, Identities: []string{p.Key}, KnownHosts: []string{p.KnownHosts}},
		Notice:  func(text string) { fmt.Fprintf(os.Stderr, "%s: %s\n", p.Name, text) },
	})
	if err != nil {
		return err
	}
	return w.Run(context.Background(), nil)
}

// process starts a worker in a process of its own.
func (s *site) process(name string) *exec.Cmd {
	s.t.Helper()
	config, err := json.Marshal(workerProcess{
		URL: s.hub.URL(), Name: name, Signers: s.allowed, Key: s.connect.Identities[0], KnownHosts: s.connect.KnownHosts[0], User: s.connect.User, Room: cmp.Or(s.room, 60),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerEnv+"="+string(config))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// A worker is killed with SIGKILL in the middle of a run, and another process takes its shards over:
// nothing runs twice, every host has its one end, and what the killed worker had begun is unknown.
// faults.md: R18
func TestWorkerKilled(t *testing.T) {
	ran := make(chan struct{}, 1000)
	s := newSite(t, simfleet.Options{Hosts: 160, Oracle: func(simfleet.Exec) {
		select {
		case ran <- struct{}{}:
		default:
		}
	}})
	first := s.process("first")
	killed := make(chan error, 1)
	go func() {
		for range 30 { // in the middle
			<-ran
		}
		err := first.Process.Kill()
		s.process("second")
		killed <- err
	}()
	results, c := s.run(t.Context(), "sleep 0.1; echo {index}", nil)
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	report := s.check(results)
	if report.Outcomes[fleet.OutcomeOK]+report.Outcomes[fleet.OutcomeUnknown] != s.hosts || report.Outcomes[fleet.OutcomeUnknown] == 0 {
		t.Errorf("outcomes %v", report.Outcomes)
	}
	for _, r := range results {
		if r.Outcome == fleet.OutcomeUnknown && (r.Reason != fleet.ReasonWorkerLost || !errors.Is(r.Err, errWorkerLost)) {
			t.Errorf("target %d: %s, %v", r.Target.Index, r.Reason, r.Err)
		}
	}
	if left := s.streams(c.conn); len(left) != 1 {
		t.Errorf("the streams %v are there; the log of a run with unknown hosts stays", left)
	}
}
