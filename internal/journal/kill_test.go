package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"shoal/fleet"
)

const (
	childDir   = "JOURNAL_TEST_DIR"  // makes the test program a child
	childStep  = "JOURNAL_TEST_STEP" // the step at which it kills itself; 0 means never
	childRuns  = "JOURNAL_TEST_RUNS" // the number of runs that it makes
	killTarget = 50                  // targets of a run
	killWidth  = 16                  // workers
)

func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		goleak.VerifyTestMain(m)
		return
	}
	step, _ := strconv.Atoi(os.Getenv(childStep))
	runs, _ := strconv.Atoi(os.Getenv(childRuns))
	for range runs {
		if err := child(dir, step); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// child performs a run whose commands write lines to standard output: what is written
// there survives the death of the process.
func child(dir string, killAt int) error {
	var mu sync.Mutex
	steps := 0
	j, err := Open(context.Background(), dir, Options{hook: func(step) {
		mu.Lock()
		defer mu.Unlock()
		if steps++; steps == killAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}})
	if err != nil {
		return err
	}
	r, err := j.Begin(context.Background(), RunInfo{}, targetsOf(killTarget))
	if err != nil {
		return err
	}
	fmt.Println("run", r.ID())
	var all []fleet.Target
	for t := range targetsOf(killTarget) {
		all = append(all, t)
	}
	err = perform(r, all, func(what string, idx int) { fmt.Println(what, idx) })
	return errors.Join(err, r.End(Ending{}), j.Close())
}

// perform calls Intend, executes, and calls Result for each target. It reports each
// execution and each result that is acknowledged as written.
func perform(r *Run, targets []fleet.Target, report func(what string, idx int)) error {
	work := make(chan fleet.Target, len(targets)) // closed below, so that workers end
	for _, t := range targets {
		work <- t
	}
	close(work)
	errs := make([]error, killWidth)
	var wg sync.WaitGroup
	for w := range killWidth {
		wg.Go(func() {
			for t := range work {
				errs[w] = errors.Join(errs[w], performOne(r, t, report))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func performOne(r *Run, t fleet.Target, report func(what string, idx int)) error {
	if err := r.Intend(t.Index, 1, netip.AddrPort{}); err != nil {
		return err
	}
	report("exec", t.Index)
	if err := r.Result(okResult(t, fmt.Sprint("out of ", t.Index))); err != nil {
		return err
	}
	if t.Index%3 == 0 {
		if err := r.Flush(); err != nil {
			return err
		}
		report("stored", t.Index)
	}
	return nil
}

// A report is what a child wrote before it was killed.
type report struct {
	run          string
	exec, stored map[int]int
	complete     bool // it was not killed
}

// runChild starts a child that kills itself at a step, or that is killed after a number of
// lines.
func runChild(t *testing.T, dir string, killAt, afterLines int) report {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childStep+"="+strconv.Itoa(killAt), childRuns+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	d := report{exec: map[int]int{}, stored: map[int]int{}}
	lines := bufio.NewReader(out)
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		d.read(t, strings.Fields(line))
		if n == afterLines {
			_ = cmd.Process.Kill() // it may have ended already
		}
	}
	switch err := cmd.Wait(); {
	case err == nil:
		d.complete = true
	case !strings.Contains(err.Error(), "killed"):
		t.Fatal(err)
	}
	return d
}

func (d *report) read(t *testing.T, words []string) {
	t.Helper()
	switch words[0] {
	case "run":
		d.run = words[1]
		return
	case "exec", "stored":
	default:
		t.Fatalf("a child said %q", words)
	}
	idx, err := strconv.Atoi(words[1])
	check(t, err)
	if words[0] == "exec" {
		d.exec[idx]++
	} else {
		d.stored[idx]++
	}
}

// verify checks the journal against the child's report, resumes its run, and checks that
// nothing ran twice and nothing is missing.
func (d report) verify(t *testing.T, j *Journal) {
	t.Helper()
	for idx, e := range entries(t, j, d.run, All) {
		switch {
		case e.Progress == NotStarted && d.exec[idx] > 0:
			t.Errorf("target %d ran and its intent is missing", idx)
		case e.Progress != Done && d.stored[idx] > 0:
			t.Errorf("the result of target %d is missing", idx)
		case e.Progress == Done && string(e.Stdout.Bytes) != fmt.Sprint("out of ", idx):
			t.Errorf("target %d wrote %q", idx, e.Stdout.Bytes)
		}
	}
	if info, err := j.Run(t.Context(), d.run); err != nil || info.State != Crashed {
		t.Fatal(info.State, err)
	}
	r, err := j.Resume(t.Context(), d.run)
	check(t, err)
	targets, err := j.Select(t.Context(), d.run, Resumable)
	check(t, err)
	var mu sync.Mutex
	check(t, perform(r, targets, func(what string, idx int) {
		mu.Lock()
		defer mu.Unlock()
		if what == "exec" {
			d.exec[idx]++
		}
	}))
	check(t, r.End(Ending{}))
	unknown := 0
	for idx, e := range entries(t, j, d.run, All) {
		if d.exec[idx] > 1 {
			t.Errorf("target %d ran %d times", idx, d.exec[idx])
		}
		switch e.Progress {
		case NotStarted:
			t.Errorf("target %d is missing", idx)
		case Intended:
			unknown++
		case Done:
			if d.exec[idx] != 1 {
				t.Errorf("target %d is done and ran %d times", idx, d.exec[idx])
			}
		}
	}
	found, err := j.Verify(t.Context(), d.run)
	check(t, err)
	if !found.OK() || len(found.Unresolved) != unknown {
		t.Errorf("%d are unknown; %+v", unknown, found)
	}
}

// checkUnreported checks what a child left that died before it reported its run.
func checkUnreported(t *testing.T, j *Journal, before int) {
	t.Helper()
	n := 0
	for info, err := range j.Runs(t.Context(), Filter{}) {
		check(t, err)
		if n++; n > 1 {
			continue
		}
		if info.State == Crashed {
			if got := len(entries(t, j, info.Run, Resumable)); got != killTarget {
				t.Errorf("%d of its targets can be resumed", got)
			}
		}
	}
	if n > before+1 {
		t.Errorf("%d runs after %d", n, before)
	}
}

// crashesPerJournal is how many killed children share a journal: Verify reads all of it.
const crashesPerJournal = 20

// A process is killed at every step of its writing.
// faults.md: R14
func TestKilledAtEveryWrite(t *testing.T) {
	t.Parallel()
	var dir string
	var j *Journal
	for at := 1; ; at++ {
		if at%crashesPerJournal == 1 {
			dir = t.TempDir()
			j = mustOpen(t, dir, Options{})
		}
		d := runChild(t, dir, at, 0)
		if d.complete {
			if at < 2*killTarget {
				t.Errorf("only %d steps", at)
			}
			return
		}
		if d.run == "" {
			checkUnreported(t, j, (at-1)%crashesPerJournal)
		} else if info, err := j.Run(t.Context(), d.run); err != nil || info.State != Ended {
			d.verify(t, j)
		}
		if t.Failed() {
			t.Fatalf("killed at step %d", at)
		}
	}
}

// A process is killed from outside at random times.
func TestKilledAtRandomTimes(t *testing.T) {
	t.Parallel()
	var dir string
	var j *Journal
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for n := range 100 {
		if n%crashesPerJournal == 0 {
			dir = t.TempDir()
			j = mustOpen(t, dir, Options{})
		}
		d := runChild(t, dir, 0, 1+random.IntN(killTarget+killTarget/3))
		if info, err := j.Run(t.Context(), d.run); err != nil || info.State != Ended {
			d.verify(t, j)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Several processes, and several journals in this process, write runs at the same time.
func TestManyProcesses(t *testing.T) {
	t.Parallel()
	const processes, runs = 4, 3
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childDir+"="+dir, childRuns+"="+strconv.Itoa(runs))
			if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), "exec") != runs*killTarget {
				t.Errorf("%v: %.500s", err, out)
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			j, err := Open(t.Context(), dir, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			r := mustBegin(t, j, RunInfo{}, targetsOf(10))
			for i := range 10 {
				if err := errors.Join(r.Intend(i, 1, netip.AddrPort{}), r.Result(okResult(targetOf(i), "x"))); err != nil {
					t.Error(err)
				}
			}
			if err := errors.Join(r.End(Ending{}), j.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	j := mustOpen(t, dir, Options{})
	n := 0
	for info, err := range j.Runs(t.Context(), Filter{}) {
		check(t, err)
		n++
		report, err := j.Verify(t.Context(), info.Run)
		check(t, err)
		if !report.OK() || info.State != Ended || report.Results != info.Targets {
			t.Errorf("%s %+v", info.State, report)
		}
	}
	if n != processes*runs+2 {
		t.Errorf("%d runs", n)
	}
	left, err := os.ReadDir(dir + "/" + locksName)
	check(t, err)
	if len(left) != 1 || left[0].Name() != setupLock {
		t.Errorf("locks are left: %v", left)
	}
}
