package run

import (
	"bytes"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// steered plays the engine with 200 targets in flight, for controls whose keys
// come from the test. It returns what was printed.
func steered(t *testing.T, c widthControl, do func(h *controls)) string {
	t.Helper()
	var said bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		h := newControls(&said, c)
		h.all.Go(h.steer)
		h.all.Go(func() {
			for {
				select {
				case width := <-h.Width:
					h.Resized(width, 200)
				case <-h.over:
					return
				}
			}
		})
		do(h)
		h.end()
	})
	return said.String()
}

// A key that is held takes effect at once and is reported once a second.
func TestHelmSaysNotMoreThanOnceASecond(t *testing.T) {
	got := steered(t, widthControl{width: 1, least: 1, most: 1 << 40, bound: "the end"}, func(h *controls) {
		for range 30 {
			h.onKey('+')
			time.Sleep(90 * time.Millisecond)
		}
		time.Sleep(time.Hour)
		h.onKey('-')
		time.Sleep(time.Hour)
	})
	want := "shoal: width 2, 200 in flight\n" +
		"shoal: width 4,096, 200 in flight\n" +
		"shoal: width 8,388,608, 200 in flight\n" +
		"shoal: width 1,073,741,824, 200 in flight\n" +
		"shoal: width 536,870,912, 200 in flight\n"
	if got != want {
		t.Errorf("said\n%swant\n%s", got, want)
	}
}

func TestHelmObeys(t *testing.T) {
	got := steered(t, widthControl{width: 8, least: 1, most: 16, bound: "the end"}, func(h *controls) {
		for _, key := range []byte("?x=+p_p\x04") {
			h.onKey(key)
			time.Sleep(2 * time.Second)
		}
		for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2} {
			h.signals <- sig
			time.Sleep(2 * time.Second)
		}
	})
	want := strings.Join([]string{
		keyHelp,
		"width 16, 200 in flight",
		"width 16, 200 in flight; the end",
		"paused, 200 in flight; p goes on",
		"paused, 200 in flight; p goes on with a width of 8",
		"width 8, 200 in flight",
		"width 16, 200 in flight",
		"width 8, 200 in flight",
	}, "\nshoal: ")
	if got != "shoal: "+want+"\n" {
		t.Errorf("said\n%swant\nshoal: %s\n", got, want)
	}
}
