package simfleet

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"shoal/internal/needs"
)

// asyncClient and paramikoClient run a command: HOST PORT KEY COMMAND.
const (
	asyncClient = `import asyncio, sys
sys.path.insert(0, "/usr/lib/python3/dist-packages")
import warnings; warnings.simplefilter("ignore")
import asyncssh
async def main(host, port, key, command):
    async with asyncssh.connect(host, int(port), username="ada", client_keys=[key], known_hosts=None, config=None) as c:
        r = await c.run(command, input=sys.stdin.read())
        sys.stdout.write(r.stdout); sys.stderr.write(r.stderr)
        return r.exit_status
sys.exit(asyncio.run(main(*sys.argv[1:])))`
	paramikoClient = `import sys
sys.path.insert(0, "/usr/lib/python3/dist-packages")
import warnings; warnings.simplefilter("ignore")
import paramiko
host, port, key, command = sys.argv[1:]
c = paramiko.SSHClient()
c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
c.connect(host, int(port), "ada", key_filename=key, allow_agent=False, look_for_keys=False)
i, o, e = c.exec_command(command)
i.write(sys.stdin.read()); i.channel.shutdown_write()
sys.stdout.write(o.read().decode()); sys.stderr.write(e.read().decode())
sys.exit(o.channel.recv_exit_status())`
)

// Every client runs a command on both servers, with its input, both outputs and its status.
func TestServersAndClients(t *testing.T) {
	t.Parallel()
	const command = "echo out; echo err >&2; cat; exit 7"
	clients := map[string]func(t *testing.T, host, port, dir string) *exec.Cmd{
		"OpenSSH": func(t *testing.T, host, port, dir string) *exec.Cmd {
			return exec.CommandContext(t.Context(), needs.Program(t, "/usr/bin/ssh"), "-F", "none", "-i", dir+"/key", "-p", port, "-o", "BatchMode=yes",
				"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile="+dir+"/known_hosts", "-o", "RekeyLimit=64K", "ada@"+host, command)
		},
		"Dropbear": func(t *testing.T, host, port, dir string) *exec.Cmd {
			convert := exec.CommandContext(t.Context(), needs.Program(t, "/usr/bin/dropbearconvert"), "openssh", "dropbear", dir+"/key", dir+"/dropbear")
			if out, err := convert.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			cmd := exec.CommandContext(t.Context(), needs.Program(t, "/usr/bin/dbclient"), "-y", "-y", "-i", dir+"/dropbear", "-p", port, "ada@"+host, command)
			cmd.Env = append(os.Environ(), "HOME="+dir)
			return cmd
		},
		"AsyncSSH": func(t *testing.T, host, port, dir string) *exec.Cmd {
			needs.Program(t, "/usr/lib/python3/dist-packages/asyncssh")
			return exec.CommandContext(t.Context(), needs.Program(t, "/usr/bin/python3"), "-c", asyncClient, host, port, dir+"/key", command)
		},
		"Paramiko": func(t *testing.T, host, port, dir string) *exec.Cmd {
			needs.Program(t, "/usr/lib/python3/dist-packages/paramiko")
			return exec.CommandContext(t.Context(), needs.Program(t, "/usr/bin/python3"), "-c", paramikoClient, host, port, dir+"/key", command)
		},
	}
	input := strings.Repeat("a line of input\n", 20_000)
	servers(t, func(t *testing.T, server Server) {
		f := startFleet(t, Options{Hosts: 1, Server: server})
		for name, client := range clients {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				for file, write := range map[string]func(io.Writer) error{"key": f.WriteKey, "known_hosts": f.WriteKnownHosts} {
					var text bytes.Buffer
					if err := write(&text); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(dir, file), text.Bytes(), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				var out, errs bytes.Buffer
				cmd := client(t, f.Host(0).Name, strconv.Itoa(int(f.Port())), dir)
				cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
				_ = cmd.Run() // its status follows
				if status := cmd.ProcessState.ExitCode(); status != 7 || out.String() != "out\n"+input || !strings.HasSuffix(errs.String(), "err\n") {
					t.Errorf("ended with %d, %d bytes of output (%.40q), standard error %.300q", status, out.Len(), out.String(), errs.String())
				}
			})
		}
	})
}
