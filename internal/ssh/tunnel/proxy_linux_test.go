package tunnel

import (
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// sockets counts those that a program inherits.
func sockets(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("ls", "-l", "/proc/self/fd").CombinedOutput()
	if !strings.Contains(string(out), "->") {
		t.Fatalf("no list of descriptors: %s, %v", out, err)
	}
	return strings.Count(string(out), "socket:")
}

// A program that is started while another target's connection is made gets no end of that: as long
// as it lived, nobody would notice that the connection has ended.
func TestProxyCommandsInheritNoConnection(t *testing.T) {
	usual := sockets(t)
	var stop atomic.Bool
	var making sync.WaitGroup
	for range 4 {
		making.Go(func() {
			for !stop.Load() {
				ours, theirs, err := socketPair()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = ours.Close(), theirs.Close()
			}
		})
	}
	inherited := 0
	for range 100 {
		if sockets(t) != usual {
			inherited++
		}
	}
	stop.Store(true)
	making.Wait()
	if inherited > 0 {
		t.Errorf("%d of 100 programs have inherited a connection", inherited)
	}
}
