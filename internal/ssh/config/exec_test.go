package config_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"shoal/internal/ssh/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// countingExec returns true and counts how often each command ran.
func countingExec(counts *sync.Map) config.ExecFunc {
	return func(_ context.Context, command string) (bool, error) {
		n, _ := counts.LoadOrStore(command, 0)
		counts.Store(command, n.(int)+1)
		return true, nil
	}
}

func TestExecRunsOncePerCommand(t *testing.T) {
	var counts sync.Map
	c := load(t, "Port 9\nMatch exec \"on %p\" exec \"is %h %n %r %u %i %L %l %d %k\"\nUser x\nMatch exec \"on %p\"\n",
		func(o *config.LoadOptions) { o.Exec = countingExec(&counts) })
	for _, host := range []string{"a", "b", "a"} {
		if r := resolve(t, c, host); r.User != "x" {
			t.Errorf("%s: user %q", host, r.User)
		}
	}
	is := func(host string) string {
		return fmt.Sprintf("is %s %[1]s me me %d desk desk.example.com /home/me %[1]s", host, os.Getuid())
	}
	for _, command := range []string{"on 9", is("a"), is("b")} {
		if n, _ := counts.Load(command); n != 1 {
			t.Errorf("%q ran %v times", command, n)
		}
	}
}

func TestExecIsNotRunInVain(t *testing.T) {
	var counts sync.Map
	c := load(t, "Match host other exec \"no\"\nUser x\nMatch !host h exec \"no\"\n",
		func(o *config.LoadOptions) { o.Exec = countingExec(&counts) })
	resolve(t, c, "h")
	counts.Range(func(command, _ any) bool {
		t.Errorf("%v was run", command)
		return true
	})
}

func TestExecCanBeForbidden(t *testing.T) {
	c := load(t, "\nMatch exec \"true\"\nUser x\n", nil)
	_, err := c.Resolve(t.Context(), "h", config.Options{})
	if !errors.Is(err, config.ErrExecForbidden) {
		t.Errorf("error %v", err)
	}
	wantError(t, err, "config:2: match")
}

// No character that is special to a shell reaches one, wherever it comes from.
// faults.md: I02
func TestExecSeesNoStrangeNames(t *testing.T) {
	for text, want := range map[string]string{
		"HostName a;id\nMatch exec \"echo %h\"\n":       "character",
		"User $(id)\nMatch exec \"echo %r\"\n":          "character",
		"User a$IFS-b\nMatch exec \"echo %%r %r\"\n":    "expand a variable",
		"HostKeyAlias a|b\nMatch exec \"echo %k\"\n":    "character",
		"ProxyJump x,a;id\nMatch exec \"echo %j\"\n":    "character",
		"ProxyJump u@a`id`\nMatch exec \"echo '%j'\"\n": "character",
	} {
		c := load(t, text, func(o *config.LoadOptions) {
			o.Exec = func(_ context.Context, command string) (bool, error) {
				t.Errorf("%q was run", command)
				return true, nil
			}
		})
		_, err := c.Resolve(t.Context(), "h", config.Options{})
		wantError(t, err, want)
	}
}

func TestExecByShell(t *testing.T) {
	shell := func(o *config.LoadOptions) { o.Exec = nil }
	c := load(t, "Match exec \"exit 3\"\nUser no\nMatch exec \"test $((1+1)) = 2 && test -z \\\"$(cat)\\\"\"\nUser yes\n", shell)
	if r := resolve(t, c, "h"); r.User != "yes" {
		t.Errorf("user %q", r.User)
	}
	c = load(t, "Match exec \"kill -9 $$\"\nUser no\n", shell)
	_, err := c.Resolve(t.Context(), "h", config.Options{})
	wantError(t, err, "config:1: match", "killed")
}

// Child processes of the command end with it: the FIFO is at its end only when no process has
// it open.
func TestExecKillsTheGroup(t *testing.T) {
	path := t.TempDir() + "/fifo"
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	c := load(t, "Match exec \"exec 3>"+path+"; echo up >&3; sleep 1000 & wait\"\nUser no\n", func(o *config.LoadOptions) {
		o.Exec = nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1) // sent once, below
	go func() {
		_, err := c.Resolve(ctx, "h", config.Options{})
		ended <- err
	}()
	fifo, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fifo.Close() }()
	lines := bufio.NewReader(fifo)
	if line, err := lines.ReadString('\n'); err != nil || line != "up\n" {
		t.Fatalf("the command says %q: %v", line, err)
	}
	cancel()
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("then it says %q: %v", rest, err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestExecWaitsForOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		c := load(t, "Match exec \"slow\"\nUser x\n", func(o *config.LoadOptions) {
			o.Exec = func(ctx context.Context, _ string) (bool, error) {
				runs++
				if runs > 1 {
					return true, nil
				}
				<-ctx.Done()
				return false, context.Cause(ctx)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Resolve(ctx, "h", config.Options{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if r := resolve(t, c, "h"); r.User != "x" || runs != 2 {
			t.Errorf("user %q after %d runs: what a caller cut short was kept", r.User, runs)
		}
		start := time.Now()
		if _, err := load(t, "Match exec \"slow\"\n", func(o *config.LoadOptions) {
			o.Exec = func(ctx context.Context, _ string) (bool, error) { <-ctx.Done(); return false, context.Cause(ctx) }
		}).Resolve(t.Context(), "h", config.Options{}); err == nil || time.Since(start) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// Whoever waits for a command that another caller runs has it run anew when that one leaves.
func TestExecGoesOnWithoutTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		c := load(t, "Match exec \"slow\"\nUser x\n", func(o *config.LoadOptions) {
			o.Exec = func(ctx context.Context, _ string) (bool, error) {
				if runs++; runs > 1 {
					return true, nil
				}
				<-ctx.Done()
				return false, context.Cause(ctx)
			}
		})
		first, leave := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := c.Resolve(first, "h", config.Options{}); !errors.Is(err, context.Canceled) {
				t.Errorf("the first: %v", err)
			}
		})
		synctest.Wait()
		waiting.Go(func() {
			if r, err := c.Resolve(t.Context(), "h", config.Options{}); err != nil || r.User != "x" {
				t.Errorf("the other: %v", err)
			}
		})
		synctest.Wait()
		leave()
		waiting.Wait()
		if runs != 2 {
			t.Errorf("it ran %d times", runs)
		}
	})
}

// Waiting is called once for a slow Match exec command.
func TestExecWaiting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte("Match exec slow\n  User a\nMatch exec quick\n  Port 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		told := make(chan string, 9) // sent by timers, read at the end
		cfg, err := config.Load(config.LoadOptions{
			File: path,
			Exec: func(_ context.Context, command string) (bool, error) {
				if command == "slow" {
					time.Sleep(5 * time.Second)
				}
				return true, nil
			},
			Waiting: func(command string) { told <- command },
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if r, err := cfg.Resolve(t.Context(), "web1", config.Options{}); err != nil || r.User != "a" || r.Port != 7 {
				t.Errorf("%+v, %v", r, err)
			}
		}
		if first := <-told; first != "slow" || len(told) != 0 {
			t.Errorf("told of %q and %d others, want slow once", first, len(told))
		}
	})
}
