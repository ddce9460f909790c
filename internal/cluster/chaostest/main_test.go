package chaostest

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/cluster/hubcli"
)

// actAs in the environment makes the test binary act as one of the programs.
const actAs = "CHAOSTEST_ACT_AS"

const (
	asShoal = "shoal"
	asHub   = "shoal-hub"
	asTable = "table" // a worker whose hosts are a table
)

func TestMain(m *testing.M) {
	stdio := console.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	switch as := os.Getenv(actAs); as {
	case asShoal:
		os.Exit(profiled(as, func() int { return cli.Main(context.Background(), os.Args[1:], stdio) }))
	case asHub:
		os.Exit(profiled(as, func() int { return hubcli.Main(context.Background(), os.Args[1:], stdio) }))
	case asTable:
		os.Exit(profiled(as, func() int {
			if err := beTable(os.Args[1:]); err != nil {
				_, _ = fmt.Fprintln(os.Stderr, err)
				return 1
			}
			return 0
		}))
	}
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGHUP} {
		if signal.Ignored(sig) { // child processes would inherit it, as under nohup
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	goleak.VerifyTestMain(m)
}

// peakIn in the environment names a file for the most memory that the program had.
const peakIn = "CHAOSTEST_PEAK"

// tellPeak writes the most memory that this program had, in KiB, as Linux knows it. What wait4 tells is that of the process that
// started it, if that was more.
func tellPeak() {
	status, _ := os.ReadFile("/proc/self/status") // "" elsewhere
	if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
		size, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if err := os.WriteFile(os.Getenv(peakIn), []byte(size), 0o600); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
		}
	}
}

// knob reads a number from the environment.
func knob(t *testing.T, name string, standard uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// profiled writes a CPU profile of the program, and its heap every two seconds, into the directory CHAOS_PROFILES, if the environment has it.
func profiled(as string, program func() int) int {
	defer tellPeak()
	dir := os.Getenv("CHAOS_PROFILES")
	if dir == "" {
		return program()
	}
	file, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s.%d.prof", as, os.Getpid())))
	if err == nil {
		err = pprof.StartCPUProfile(file)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = file.Close() }()
	defer pprof.StopCPUProfile()
	over := make(chan struct{})
	defer close(over)
	go func() {
		for tick := time.Tick(2 * time.Second); ; {
			select {
			case <-tick:
			case <-over:
				return
			}
			if heap, err := os.Create(file.Name() + ".heap"); err == nil {
				_ = pprof.WriteHeapProfile(heap)
				_ = heap.Close()
			}
		}
	}()
	return program()
}
