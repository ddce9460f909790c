package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// taken is the measurement of one run of a program.
type taken struct {
	started  time.Time
	wall     time.Duration // until the program itself exited
	cpu      cpuTime       // of all processes that it started
	peaks    peaks
	left     int  // processes that it left behind; they were killed
	exit     int  // 128 plus the signal if one killed it
	timedOut bool // killed at the time limit
	stdout   []byte
	stderr   []byte
}

// A meter runs programs in control groups of their own.
type meter struct {
	root *group
	dir  string   // for their output
	env  []string // the same for all of them
	runs int
}

// run runs argv until it exits or reaches the limit, and kills what is left of
// it.
func (m *meter) run(ctx context.Context, argv, env []string, limit time.Duration) (t taken, err error) {
	m.runs++
	g, err := m.root.child(fmt.Sprintf("run-%d", m.runs))
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, g.remove()) }()
	cmd := exec.Command(argv[0], argv[1:]...) // killed through its group
	cmd.Env, cmd.Dir = append(m.env[:len(m.env):len(m.env)], env...), m.dir
	stdout, err := os.Create(filepath.Join(m.dir, "stdout"))
	if err != nil {
		return t, fmt.Errorf("opening a file for the output: %w", err)
	}
	defer func() { _ = stdout.Close() }() // read by path below
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

// follow waits for cmd while sampling its group.
func (t *taken) follow(ctx context.Context, cmd *exec.Cmd, g *group, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stopped := make(chan error, 1) // the result of the kill, if any
	stop := context.AfterFunc(ctx, func() { stopped <- g.end() })
	done := make(chan struct{}) // closed when cmd has exited
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

// exitStatus returns the shell's number for how a process ended.
func exitStatus(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() { //nolint:misspell // the standard library spells it so
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

// A row is one tool at one size of one target, over all repeats.
type row struct {
	tool, kex string
	runs      int
	size      int
	correct   int     // minimum
	wall      float64 // s, the median as defined below
	wallTimes float64 // relative to shoal's of the same repeat; 0 if unknown
	cpu       float64 // ms per host
	cpuTimes  float64
	server    float64 // ms per host
	largest   int64
	process   string
	tree      int64
	exit      int    // of the first failed run, else of the first run
	failure   string // of the first failed run
	error     string
}

// newRow summarises the points of one tool. ours has shoal's points by repeat.
func newRow(points []Point, ours map[int]Point) row {
	first := points[0]
	r := row{tool: first.Tool, size: first.Size, runs: len(points), exit: first.Exit, process: first.Process}
	r.correct = slices.MinFunc(points, func(a, b Point) int { return cmp.Compare(a.Correct, b.Correct) }).Correct
	r.wall = median(points, func(p Point) float64 { return p.Wall.Seconds() })
	r.cpu = median(points, func(p Point) float64 { return perHost(p.cpu(), p.Size) })
	r.server = median(points, func(p Point) float64 { return perHost(p.ServerCPU, p.Size) })
	r.largest = median(points, func(p Point) int64 { return p.Largest })
	r.tree = median(points, func(p Point) int64 { return p.Tree })
	for _, p := range points {
		if p.Failure != "" {
			r.failure, r.error, r.exit = p.Failure, p.Error, p.Exit
			return r // a tool that fails early is not faster
		}
	}
	paired := slices.DeleteFunc(slices.Clone(points), func(p Point) bool {
		o, ok := ours[p.Repeat]
		return !ok || o.Failure != ""
	})
	if len(paired) > 0 {
		r.wallTimes = median(paired, func(p Point) float64 { return p.Wall.Seconds() / ours[p.Repeat].Wall.Seconds() })
		r.cpuTimes = median(paired, func(p Point) float64 { return p.cpu().Seconds() / ours[p.Repeat].cpu().Seconds() })
	}
	return r
}

// median returns the median; for an even number of points, the lower of the two
// in the middle.
func median[T cmp.Ordered](points []Point, value func(Point) T) T {
	values := make([]T, len(points))
	for i, p := range points {
		values[i] = value(p)
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// perHost returns d per host in milliseconds.
func perHost(d time.Duration, size int) float64 {
	return d.Seconds() * 1000 / float64(size)
}
