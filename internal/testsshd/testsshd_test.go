package testsshd_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/testsshd"
)

type start func(testing.TB, ...testsshd.Option) *testsshd.Server

var servers = []struct {
	name  string
	start start
}{
	{"openssh", testsshd.OpenSSH},
	{"dropbear", testsshd.Dropbear},
}

// overSSH runs a command with the ssh client, which checks the host key and
// the login quite apart from our own code.
func overSSH(t *testing.T, s *testsshd.Server, command string) (string, error) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "ssh", "-F", "none",
		"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=none",
		"-o", "UserKnownHostsFile="+s.KnownHosts, "-o", "IdentitiesOnly=yes", "-i", s.KeyFile,
		"-p", strconv.Itoa(int(s.Host.Port)), s.User+"@"+s.Host.Name, command)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Logf("ssh: %v\n%s\nserver: %s", err, stderr.String(), s.Log())
	}
	return string(out), err
}

func dial(t *testing.T, s *testsshd.Server, hostKey ssh.PublicKey) *ssh.Client {
	t.Helper()
	client, err := ssh.Dial("tcp", fleet.Target{Host: s.Host}.Address(), &ssh.ClientConfig{
		User:              s.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(s.Signer)},
		HostKeyCallback:   ssh.FixedHostKey(hostKey),
		HostKeyAlgorithms: algorithms(hostKey),
	})
	if err != nil {
		t.Fatalf("dialling: %v\nserver: %s", err, s.Log())
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func algorithms(key ssh.PublicKey) []string {
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA256}
	}
	return []string{key.Type()}
}

func TestServersLetInTheSSHClient(t *testing.T) {
	t.Parallel()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			s := server.start(t)
			out, err := overSSH(t, s, "echo $((6*7)); exit 5")
			if out != "42\n" {
				t.Errorf("output %q, want %q", out, "42\n")
			}
			if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 5 {
				t.Errorf("ssh ended with %v, want exit status 5", err)
			}
		})
	}
}

func TestServersLetInOurLibraryUnderEachHostKey(t *testing.T) {
	t.Parallel()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			s := server.start(t, testsshd.WithHostKeys(testsshd.Ed25519, testsshd.ECDSA, testsshd.RSA))
			want := []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSA}
			if len(s.HostKeys) != len(want) {
				t.Fatalf("%d host keys, want %d", len(s.HostKeys), len(want))
			}
			for i, key := range s.HostKeys {
				if key.Type() != want[i] {
					t.Fatalf("host key %d is %s, want %s", i, key.Type(), want[i])
				}
				session, err := dial(t, s, key).NewSession()
				if err != nil {
					t.Fatal(err)
				}
				out, err := session.Output("echo hello")
				if err != nil || string(out) != "hello\n" {
					t.Errorf("under %s: output %q, error %v", key.Type(), out, err)
				}
			}
		})
	}
}

func TestConfigIsInForce(t *testing.T) {
	t.Parallel()
	s := testsshd.OpenSSH(t, testsshd.WithConfig("ForceCommand echo forced"))
	if out, err := overSSH(t, s, "echo hello"); out != "forced\n" || err != nil {
		t.Errorf("output %q, error %v, want %q", out, err, "forced\n")
	}
	if !strings.Contains(s.Log(), "Accepted publickey") {
		t.Errorf("the log does not tell of the login:\n%s", s.Log())
	}
}

func TestArgsAreInForce(t *testing.T) {
	t.Parallel()
	s := testsshd.Dropbear(t, testsshd.WithArgs("-c", "echo forced"))
	if out, err := overSSH(t, s, "echo hello"); out != "forced\n" || err != nil {
		t.Errorf("output %q, error %v, want %q", out, err, "forced\n")
	}
}

// A command outlives its connection; it must not outlive the test.
func TestTheEndTakesTheCommandsAlong(t *testing.T) {
	t.Parallel()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			var pids []int
			t.Run("server", func(t *testing.T) {
				s := server.start(t)
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

// alive says whether a process runs: a zombie that waits to be collected by
// init does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
