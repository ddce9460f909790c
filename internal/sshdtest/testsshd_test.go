package sshdtest_test

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"shoal/internal/sshdtest"
)

func TestConfigIsInForce(t *testing.T) {
	t.Parallel()
	s := sshdtest.OpenSSH(t, sshdtest.WithConfig("ForceCommand echo forced"))
	if out, err := overSSH(t, s, "echo hello"); out != "forced\n" || err != nil {
		t.Errorf("output %q, error %v, want %q", out, err, "forced\n")
	}
	if !strings.Contains(s.Log(), "Accepted publickey") {
		t.Errorf("the log does not tell of the login:\n%s", s.Log())
	}
}

func TestArgsAreInForce(t *testing.T) {
	t.Parallel()
	s := sshdtest.Dropbear(t, sshdtest.WithArgs("-c", "echo forced"))
	if out, err := overSSH(t, s, "echo hello"); out != "forced\n" || err != nil {
		t.Errorf("output %q, error %v, want %q", out, err, "forced\n")
	}
}

// A command outlives its connection, but must not outlive the test.
func TestTheEndTakesTheCommandsAlong(t *testing.T) {
	t.Parallel()
	for _, kind := range sshdtest.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			var pids []int
			t.Run("server", func(t *testing.T) {
				s := kind.Start(t)
				session, err := dial(t, s, s.HostKey).NewSession()
				if err != nil {
					t.Fatal(err)
				}
				out, err := session.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := session.Start("echo $$; exec sleep 1000"); err != nil {
					t.Fatal(err)
				}
				line := make([]byte, 32)
				n, err := out.Read(line)
				if err != nil {
					t.Fatal(err)
				}
				pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
				if err != nil {
					t.Fatal(err)
				}
				pids = []int{s.PID(), pid}
				for _, pid := range pids {
					if !alive(pid) {
						t.Fatalf("process %d does not run", pid)
					}
				}
			})
			for _, pid := range pids {
				if alive(pid) {
					t.Errorf("process %d is still there", pid)
				}
			}
		})
	}
}

// alive reports whether a process runs; a zombie that init has not reaped does
// not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
