package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// taken is what one run of a program took.
type taken struct {
	started  time.Time
	wall     time.Duration // until the program itself ended
	cpu      cpuTime       // of all processes that it started
	peaks    peaks
	left     int  // processes that it left behind; they were ended
	exit     int  // 128 and the signal where one ended it
	timedOut bool // ended by the limit
	stdout   []byte
	stderr   []byte
}

// A meter runs programs in control groups of their own.
type meter struct {
	root *group
	dir  string   // for what they write
	env  []string // that all of them get
	runs int
}

// run runs argv to its end or the limit's, and leaves nothing of it running.
func (m *meter) run(ctx context.Context, argv, env []string, limit time.Duration) (t taken, err error) {
	m.runs++
	g, err := m.root.child(fmt.Sprintf("run-%d", m.runs))
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, g.remove()) }()
	cmd := exec.Command(argv[0], argv[1:]...) // ended by its group, with all that it has started
	cmd.Env, cmd.Dir = append(m.env[:len(m.env):len(m.env)], env...), m.dir
	stdout, err := os.Create(filepath.Join(m.dir, "stdout"))
	if err != nil {
		return t, fmt.Errorf("opening a file for the output: %w", err)
	}
	defer func() { _ = stdout.Close() }() // read through its path below
	stderr, err := os.Create(filepath.Join(m.dir, "stderr"))
	if err != nil {
		return t, fmt.Errorf("opening a file for the errors: %w", err)
	}
	defer func() { _ = stderr.Close() }()
	cmd.Stdout, cmd.Stderr = stdout, stderr

	t.started = time.Now()
	if err := startIn(cmd, g.path); err != nil {
		return t, fmt.Errorf("starting %s: %w", argv[0], err)
	}
	if err := t.follow(ctx, cmd, g, limit); err != nil {
		return t, err
	}
	if t.stdout, err = os.ReadFile(stdout.Name()); err != nil {
		return t, fmt.Errorf("reading the output: %w", err)
	}
	if t.stderr, err = os.ReadFile(stderr.Name()); err != nil {
		return t, fmt.Errorf("reading the errors: %w", err)
	}
	return t, ctx.Err()
}

// follow waits for cmd while its group is sampled.
func (t *taken) follow(ctx context.Context, cmd *exec.Cmd, g *group, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stopped := make(chan error, 1) // of the kill, where there was one
	stop := context.AfterFunc(ctx, func() { stopped <- g.end() })
	done := make(chan struct{}) // closed when cmd has ended
	seen := make(chan peaks)
	go func() { seen <- g.watch(done) }()
	err := cmd.Wait()
	t.wall = time.Since(t.started)
	close(done)
	t.peaks = <-seen
	if !stop() {
		t.timedOut = true
		if err := <-stopped; err != nil {
			return err
		}
	}
	t.exit = exitStatus(cmd.ProcessState)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("waiting for %s: %w", cmd.Path, err)
	}
	t.left = len(g.pids())
	if err := g.end(); err != nil {
		return err
	}
	t.cpu, err = g.cpu()
	return err
}

// exitStatus is the shell's number for how a process ended.
func exitStatus(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() { //nolint:misspell // the standard library spells it so
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}
