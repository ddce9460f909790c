package reach

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// servers are hosts in virtual time.
type servers struct {
	begun time.Time
	// dial says how a try at host i ends, at this time after the start; nil: it is let in.
	dial func(i int, at time.Duration) *fleet.Error

	mu    sync.Mutex
	tries map[int][]time.Duration
}

func failure(p fleet.Phase, r fleet.Reason) *fleet.Error {
	return &fleet.Error{Outcome: fleet.OutcomeNeverStarted, Phase: p, Reason: r, Err: errors.New("not now")}
}

// Dial implements ssh.Dialer.
func (s *servers) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	at := time.Since(s.begun)
	s.mu.Lock()
	s.tries[a.Target.Index] = append(s.tries[a.Target.Index], at)
	s.mu.Unlock()
	time.Sleep(10 * time.Millisecond)
	if f := s.dial(a.Target.Index, at); f != nil {
		return nil, f
	}
	return idle{}, nil
}

type idle struct{ ssh.Conn }

func (idle) Close() error                                  { return nil }
func (idle) Start(_ context.Context, done func(fleet.End)) { done(fleet.End{Outcome: fleet.OutcomeOK}) }

// wait waits for n hosts.
func (s *servers) wait(t *testing.T, n int, limit time.Duration) map[int]fleet.Result {
	t.Helper()
	s.begun, s.tries = time.Now(), make(map[int][]time.Duration)
	over := make(chan struct{})
	defer time.AfterFunc(limit, func() { close(over) }).Stop()
	results := make(map[int]fleet.Result)
	w := &Waiter{
		Engine: engine.Options{Dialer: s, Fanout: 256}, Over: over,
		Judge: func(res *fleet.Result) Verdict { return new(Boots).Judge(res, false) },
		Final: func(res fleet.Result) {
			if _, twice := results[res.Target.Index]; twice {
				t.Errorf("host %d has two results", res.Target.Index)
			}
			results[res.Target.Index] = res
		},
	}
	err := w.Wait(t.Context(), func(yield func(ssh.Target) bool) {
		for i := range n {
			target := fleet.Target{Host: fleet.Host{Name: "h" + string(rune('a'+i%26)), Port: uint16(1 + i)}, Port: uint16(1 + i), Index: i}
			if !yield(ssh.Target{Target: target}) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != n {
		t.Errorf("%d results, want %d", len(results), n)
	}
	return results
}

// Of 1,000 hosts, some come late, some never, and some have another key.
func TestWaitsForThousand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &servers{dial: func(i int, at time.Duration) *fleet.Error {
			switch {
			case i%10 == 1 && at < time.Duration(i)*300*time.Millisecond: // the last one after 5 minutes
				return failure(fleet.PhaseDial, fleet.ReasonConnRefused)
			case i%10 == 2:
				return failure(fleet.PhaseDial, fleet.ReasonHostUnreachable)
			case i%10 == 3:
				return failure(fleet.PhaseHostkey, fleet.ReasonHostkeyChanged)
			case i%10 == 4 && at < 20*time.Second: // pam_nologin
				return failure(fleet.PhaseAuth, fleet.ReasonAuthFailed)
			}
			return nil
		}}
		for i, res := range s.wait(t, 1000, 10*time.Minute) {
			tries := s.tries[i]
			reason, n := fleet.ReasonNone, len(tries)
			switch i % 10 {
			case 1:
				late := time.Duration(i) * 300 * time.Millisecond
				if last := tries[n-1]; last < late || last > late+2*longestPause {
					t.Errorf("host %d came back at %v and was let in at %v", i, late, last)
				}
			case 2:
				reason = fleet.ReasonHostUnreachable
				if n < 20 || n > 45 {
					t.Errorf("host %d was tried %d times in 10 minutes", i, n)
				}
			case 3:
				reason = fleet.ReasonHostkeyChanged
				fallthrough
			case 0, 5, 6, 7, 8, 9:
				if n != 1 {
					t.Errorf("host %d was tried %d times", i, n)
				}
			case 4:
				for k := 1; k < n; k++ {
					if pause := tries[k] - tries[k-1]; pause < refusedPause/2 {
						t.Errorf("host %d was tried again %v after a refused login", i, pause)
					}
				}
			}
			if good := reason == fleet.ReasonNone; good != (res.Outcome == fleet.OutcomeOK) || res.Reason != reason || res.Attempt != n {
				t.Errorf("host %d: %v (%s) after %d tries, want reason %q after %d", i, res.Outcome, res.Reason, res.Attempt, reason, n)
			}
		}
	})
}

// A server that turns everything away makes the engine give it up: it is tried again.
func TestWaitsForAServerGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &servers{dial: func(_ int, at time.Duration) *fleet.Error {
			if at < 20*time.Minute {
				return failure(fleet.PhaseBanner, fleet.ReasonThrottled)
			}
			return nil
		}}
		for i, res := range s.wait(t, 3, time.Hour) {
			if res.Outcome != fleet.OutcomeOK || res.Attempt != len(s.tries[i]) {
				t.Errorf("host %d: %v (%s) after %d tries, want ok after %d", i, res.Outcome, res.Reason, res.Attempt, len(s.tries[i]))
			}
		}
	})
}

func TestBootID(t *testing.T) {
	const uuid = "0b8d0a9e-31c7-4b0e-a5d1-0123456789ab"
	for output, want := range map[string]string{
		"shoal-boot-id " + uuid + "\n":                                            uuid,
		"welcome\nshoal-boot-id " + strings.ToUpper(uuid) + "\r\n":                uuid,
		"shoal-boot-id { sec = 1700000000, usec = 5 } Tue Nov 14 22:13:20 2023\n": "booted-at-1700000000",
		"shoal-boot-id Tue Nov 14 22:13:20 2023\n":                                "booted-at-1700000000",
		"shoal-boot-id " + uuid:                                                   "", // cut
		"shoal-boot-id " + uuid[:35] + "\n":                                       "",
		"shoal-boot-id \n":                                                        "",
		uuid + "\n":                                                               "",
		"shoal-boot-id " + uuid + " " + uuid + "\n":                               "",
		"shoal-boot-id 00000000-0000-0000-0000-00000000000g\n":                    "",
	} {
		if got := BootID([]byte(output)); got != want {
			t.Errorf("%q: %q, want %q", output, got, want)
		}
	}
	for _, c := range []struct {
		old, now string
		want     bool
	}{
		{uuid, uuid, false},
		{uuid, "1" + uuid[1:], true},
		{"booted-at-1700000000", "booted-at-1700000003", false}, // the clock was set
		{"booted-at-1700000000", "booted-at-1699999000", false},
		{"booted-at-1700000000", "booted-at-1700000060", true},
	} {
		if got := differ(c.old, c.now); got != c.want {
			t.Errorf("from %s to %s: %v", c.old, c.now, got)
		}
	}
}

// NetBSD and OpenBSD print the time of the boot as ctime does, which must not depend on the
// host's time zone.
func TestBootTimeIsInUTC(t *testing.T) {
	bin := t.TempDir()
	for name, text := range map[string]string{
		"cat":    "exit 1",
		"sysctl": `case $2$TZ in kern.boottimeUTC0) echo Tue Nov 14 22:13:20 2023;; kern.boottime*) echo Tue Nov 14 17:13:20 2023;; *) exit 1; esac`,
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, zone := range []string{"UTC0", "EST5"} {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", BootCommand)
		cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "TZ=" + zone}
		out, err := cmd.Output()
		if got := BootID(out); err != nil || got != "booted-at-1700000000" {
			t.Errorf("TZ=%s: %q from %q, %v", zone, got, out, err)
		}
	}
}
