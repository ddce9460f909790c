package connect_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"shoal/fleet"
	"shoal/internal/connect"
	"shoal/internal/needs"
	"shoal/internal/sshdtest"
)

// heard is what a client says of a command.
type heard struct {
	status         int // 255: as ssh, also for everything that kept the command from running
	stdout, stderr string
}

// bySSH runs a command by ssh(1).
func bySSH(t *testing.T, s *sshdtest.Server, config, user, command string, more ...string) heard {
	t.Helper()
	args := append([]string{
		"-F", config, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=none", "-o", "LogLevel=ERROR",
		"-o", "UserKnownHostsFile=" + s.KnownHosts, "-o", "UpdateHostKeys=no", "-o", "IdentitiesOnly=yes", "-i", s.KeyFile,
		"-p", strconv.Itoa(int(s.Host.Port)),
	}, more...)
	cmd := exec.CommandContext(t.Context(), needs.Program(t, "ssh"), append(args, "-l", user, "--", s.Host.Name, command)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = slices.DeleteFunc(os.Environ(), func(text string) bool { return strings.HasPrefix(text, "SSH_AUTH_SOCK=") })
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return heard{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// byUs runs it by our own client.
func byUs(t *testing.T, s *sshdtest.Server, config, user, command string) (heard, fleet.Result) {
	t.Helper()
	o := connect.Options{
		SSHConfig:  config,
		Identities: []string{s.KeyFile}, KnownHosts: []string{s.KnownHosts}, Agent: connect.NoAgent,
	}
	o.Engine.Attempts = 1
	o.Engine.MaxOutput = 16 << 20
	host := s.Host
	host.User = user
	results := collect(t, connect.Run(t.Context(), o, slices.Values([]fleet.Target{{Host: host}}), command))
	if len(results) != 1 {
		t.Fatalf("%d results", len(results))
	}
	r := results[0]
	status := 255
	if r.Outcome == fleet.OutcomeOK || r.Outcome == fleet.OutcomeFailed {
		status = int(r.Status)
	}
	return heard{status, string(r.Stdout.Bytes), string(r.Stderr.Bytes)}, r
}

// commands are run by ssh and by us.
var commands = []struct {
	name, command string
	signal        string // ssh has the status 255 for it, and says nothing
}{
	{name: "true", command: "true"},
	{name: "false", command: "false"},
	{name: "colon", command: ":"},
	{name: "0", command: "exit 0"},
	{name: "1", command: "exit 1"},
	{name: "2", command: "exit 2"},
	{name: "3", command: "exit 3"},
	{name: "64", command: "exit 64"},
	{name: "124, of timeout", command: "timeout 0.1 sleep 9"},
	{name: "125, of timeout", command: "timeout --nonsense"},
	{name: "126, not executable", command: "/etc/passwd"},
	{name: "126, a directory", command: "/etc"},
	{name: "127, not found", command: "no-such-program-anywhere"},
	{name: "127, no such path", command: "/no/such/program"},
	{name: "128", command: "exit 128"},
	{name: "129", command: "exit 129"},
	{name: "137, a child was killed", command: "exec 2>/dev/null; sh -c 'kill -9 $$'; exit $?"},
	{name: "143, a child was terminated", command: "sh -c 'kill -15 $$'; exit $?"},
	{name: "254", command: "exit 254"},
	{name: "255, the command's own", command: "exit 255"},
	{name: "256 wraps", command: "sh -c 'exit 256'"},
	{name: "syntax error", command: "if then"},
	{name: "open quote", command: "echo 'open"},
	{name: "open parenthesis", command: "(echo a"},
	{name: "the last of a pipe counts", command: "false | true"},
	{name: "the last of a list counts", command: "true; false"},
	{name: "and", command: "true && exit 5"},
	{name: "or", command: "false || exit 6"},
	{name: "not", command: "! true"},
	{name: "set -e", command: "set -e; false; echo no"},
	{name: "exec", command: "exec sh -c 'exit 7'"},
	{name: "exec of nothing", command: "exec /no/such/program"},
	{name: "a trap at the end", command: "trap 'echo end; exit 8' EXIT; exit 3"},
	{name: "a trap of a signal", command: "trap 'echo term; exit 9' TERM; kill -TERM $$; echo no"},
	{name: "an ignored signal", command: "trap '' HUP; kill -HUP $$; echo yes"},
	{name: "HUP", command: "kill -HUP $$", signal: "HUP"},
	{name: "INT", command: "kill -INT $$; exec sleep 9", signal: "INT"},
	{name: "QUIT", command: "ulimit -c 0; exec sh -c 'kill -QUIT $$'", signal: "QUIT"},
	{name: "KILL", command: "kill -KILL $$", signal: "KILL"},
	{name: "TERM", command: "kill -TERM $$", signal: "TERM"},
	{name: "USR1", command: "kill -USR1 $$", signal: "USR1"},
	{name: "PIPE", command: "kill -PIPE $$", signal: "PIPE"},
	{name: "ALRM", command: "kill -ALRM $$", signal: "ALRM"},
	{name: "a signal behind output", command: "echo out; echo err >&2; kill -KILL $$", signal: "KILL"},
	{name: "exec, then a signal", command: "exec sh -c 'kill -9 $$'", signal: "KILL"},

	{name: "output", command: "echo out"},
	{name: "errors", command: "echo err >&2"},
	{name: "both", command: "echo out; echo err >&2"},
	{name: "both and a status", command: "echo out; echo err >&2; exit 4"},
	{name: "no newline", command: "printf out; printf err >&2"},
	{name: "only newlines", command: "printf '\\n\\n\\n'"},
	{name: "carriage returns", command: "printf 'a\\r\\nb\\rc\\n'"},
	{name: "NUL", command: `printf 'a\000b\000'`},
	{name: "every byte", command: `i=0; while [ $i -lt 256 ]; do printf "\\$(printf %o $i)"; i=$((i+1)); done`},
	{name: "every byte as errors", command: `i=0; while [ $i -lt 256 ]; do printf "\\$(printf %o $i)"; i=$((i+1)); done >&2`},
	{name: "invalid UTF-8", command: `printf '\377\376\300\200\n'`},
	{name: "escapes", command: `printf '\033[31mred\033[0m\033]0;title\007\n'`},
	{name: "what looks like an escape of ssh", command: `printf '\n~.\n~?\n'`},
	{name: "XOFF and end of transmission", command: `printf '\023\021\004\003\n'`},
	{name: "a window and a byte", command: "head -c 2097153 /dev/zero"},
	{name: "a packet and a byte", command: "head -c 32769 /dev/zero | tr '\\0' x"},
	{name: "many lines", command: "seq 100000"},
	{name: "many lines of errors", command: "seq 50000 >&2"},
	{name: "both, many", command: "seq 30000; seq 30000 >&2"},
	{name: "both in turn", command: "i=0; while [ $i -lt 500 ]; do echo $i; echo e$i >&2; i=$((i+1)); done"},
	{name: "one long line", command: "head -c 3000000 /dev/zero | tr '\\0' y"},
	{name: "byte by byte", command: "for c in a b c d e f; do printf $c; done"},
	{name: "errors in output", command: "exec 2>&1; echo out; echo err >&2"},
	{name: "output in errors", command: "echo out >&2; echo more 1>&2"},
	{name: "closed output", command: "exec >&-; echo out; echo after >&2"},
	{name: "closed errors", command: "exec 2>&-; echo err >&2; echo after"},
	{name: "both closed", command: "exec >&- 2>&-; exit 5"},
	{name: "closed output, and on", command: "exec >&-; sleep 0.1; echo after >&2; exit 6"},
	{name: "a reader that leaves", command: "seq 100000 | head -1"},
	{name: "a child that stays, without output", command: "sleep 5 >/dev/null 2>&1 </dev/null & echo out"},
	{name: "a child that writes later", command: "(sleep 0.3; echo late) & echo now"},
	{name: "a child that writes errors later", command: "(sleep 0.3; echo late >&2) & echo now; exit 3"},
	{name: "a child of another session", command: "setsid sh -c 'sleep 0.2; echo late' & echo now"},
	{name: "nohup", command: "nohup sh -c 'echo a; exit 0' 2>/dev/null"},
	{name: "wait", command: "(sleep 0.1; exit 4) & wait $!; echo $?"},

	{name: "standard input is empty", command: "cat; echo $?"},
	{name: "read at its end", command: "read x; echo $?"},
	{name: "count input", command: "wc -c"},
	{name: "a shell reads input", command: "sh"},
	{name: "no terminal", command: "tty"},
	{name: "no terminal on any", command: "for i in 0 1 2; do test -t $i; echo $?; done"},
	{name: "no TERM", command: "echo [$TERM]"},
	{name: "stty", command: "stty -a"},

	{name: "home", command: `cd; pwd; echo "$HOME"`},
	{name: "where it begins", command: "pwd"},
	{name: "who", command: "id -un; id -gn"},
	{name: "which shell", command: "echo $0"},
	{name: "arguments", command: "echo $# [$1]"},
	{name: "positional", command: "set -- a 'b c' d; echo $#; echo $2"},
	{name: "the mask", command: "umask"},
	{name: "limits", command: "ulimit -c -n"},
	{name: "signals at the beginning", command: "grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status"},
	{name: "open files", command: "ls /proc/self/fd | wc -l"},
	{name: "original command", command: "echo [$SSH_ORIGINAL_COMMAND]"},
	{name: "names of variables of ssh", command: "env | grep -o '^SSH_[A-Z]*' | sort"},
	{name: "locale", command: "env | grep -E '^(LANG|LC_)' | sort"},
	{name: "no agent", command: "echo [$SSH_AUTH_SOCK]"},
	{name: "no display", command: "echo [$DISPLAY]"},
	{name: "path", command: "echo $PATH"},

	{name: "quotes", command: `echo "a  b" 'c  d' e\ \ f`},
	{name: "quotes in quotes", command: `echo "it's" 'say "hi"'`},
	{name: "a dollar in quotes", command: `echo "$((1+1))" '$HOME' \$HOME`},
	{name: "backslashes", command: `printf '%s\n' a\\b 'a\b' "a\\b"`},
	{name: "backquotes", command: "echo `echo a`"},
	{name: "globs", command: "cd /etc/ssh && echo ssh_conf*; echo /no/such/*"},
	{name: "a tilde", command: "echo ~ | wc -l"},
	{name: "an exclamation mark", command: "echo !!"},
	{name: "a comment", command: "echo a # b"},
	{name: "only a comment", command: "# nothing"},
	{name: "blanks around", command: "   echo   a   b   "},
	{name: "a tab", command: "echo\ta\tb"},
	{name: "a newline", command: "echo a\necho b"},
	{name: "newlines at the end", command: "echo a\n\n\n"},
	{name: "a carriage return", command: "echo a\r"},
	{name: "a document", command: "cat <<END\na $((1+2))\nEND\n"},
	{name: "a document in quotes", command: "cat <<'END'\na $((1+2))\nEND\n"},
	{name: "a function", command: "f() { echo $1; return 3; }; f x"},
	{name: "a loop over lines", command: "printf 'a\\nb\\n' | while read l; do echo [$l]; done"},
	{name: "case", command: "case abc in a*) echo yes;; *) echo no;; esac"},
	{name: "braces", command: "echo {a,b}"},
	{name: "semicolons", command: "echo a;echo b ; echo c"},
	{name: "an ampersand", command: "echo a & wait"},
	{name: "a background at the end", command: "true &"},
	{name: "dashes first", command: "-x"},
	{name: "an option of ssh", command: "-oProxyCommand=false"},
	{name: "umlauts", command: "echo äöü € 漢字"},
	{name: "not UTF-8", command: "printf %s '\xff\xfe' | wc -c"},
	{name: "a long command", command: "echo " + strings.Repeat("x", 30_000) + " | wc -c"},
	{name: "a longer command", command: "echo " + strings.Repeat("y", 100_000) + " | wc -c"},
	{name: "many words", command: "echo " + strings.Repeat("w ", 10_000) + " | wc -w"},
	{name: "eval", command: `eval 'echo "a b"'`},
	{name: "a shell in a shell", command: `sh -c "sh -c 'echo \$0 \$1' a b"`},
	{name: "a directory that is not there", command: "cd /no/such/directory && echo no"},
	{name: "a file that cannot be read", command: "cat /no/such/file"},
	{name: "a redirection that fails", command: "echo a > /no/such/directory/file; echo $?"},
	{name: "a division by zero", command: "echo $((1/0))"},
	{name: "an unset variable", command: "set -u; echo $no_such_variable"},
	{name: "a read-only variable", command: "readonly x=1; x=2; echo no"},
}

// Each command has the same status and the same bytes on both streams as with ssh. The one
// difference: where a signal ended a command, ssh exits as if it had failed itself, and we name
// the signal.
func TestCommandsAgreeWithSSH(t *testing.T) {
	t.Parallel()
	needs.Program(t, "ssh")
	s := sshdtest.OpenSSH(t, sshdtest.WithConfig("MaxSessions 100"))
	// One connection for all commands of ssh, which otherwise takes most of the time.
	master := filepath.Join(t.TempDir(), "master")
	up := bySSH(t, s, "none", s.User, "exit 0", "-o", "ControlMaster=auto", "-o", "ControlPath="+master, "-o", "ControlPersist=yes")
	if up.status != 0 {
		t.Fatal(up)
	}
	t.Cleanup(func() {
		_ = exec.Command(needs.Program(t, "ssh"), "-F", "none", "-o", "ControlPath="+master, "-O", "exit", "-p", strconv.Itoa(int(s.Host.Port)), s.Host.Name).Run()
	})
	signals := 0
	for _, c := range commands {
		if c.signal != "" {
			signals++
		}
	}
	t.Logf("%d commands, %d of them end by a signal, which ssh does not name", len(commands), signals)
	t.Run("commands", func(t *testing.T) {
		for _, c := range commands {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				want := bySSH(t, s, "none", s.User, c.command, "-n", "-o", "ControlPath="+master)
				got, r := byUs(t, s, "none", s.User, c.command)
				if c.signal != "" {
					if r.Outcome != fleet.OutcomeSignalled || r.Signal != c.signal || want.status != 255 {
						t.Errorf("ended %v by %q, want %s; ssh exits with %d", r.Outcome, r.Signal, c.signal, want.status)
					}
				} else if !r.Outcome.Ran() {
					t.Errorf("it did not run: %v", r.Err)
				}
				if got != want {
					t.Errorf("%.200q\nwe say  %d, %d bytes %.200q, %d bytes %.200q\nssh says %d, %d bytes %.200q, %d bytes %.200q\n%v", c.command,
						got.status, len(got.stdout), got.stdout, len(got.stderr), got.stderr,
						want.status, len(want.stdout), want.stdout, len(want.stderr), want.stderr, r.Err)
				}
			})
		}
	})
}

// Servers and configurations on which it depends whether, and as what, a command runs. Lines of
// ssh_config may have @ for a directory of the fixture.
var logins = []struct {
	name, server, client string
	user                 string        // "" is the server's
	why                  string        // we differ from ssh; "" means that we agree
	ours                 fleet.Outcome // where we differ
}{
	{name: "plain"},
	{name: "another user", user: "nobody-of-that-name"},
	{name: "users not allowed", server: "AllowUsers somebody"},
	{name: "users denied", server: "DenyUsers *"},
	{name: "groups not allowed", server: "AllowGroups nosuchgroup"},
	{name: "no root", server: "PermitRootLogin no"},
	{name: "root without password", server: "PermitRootLogin prohibit-password"},
	{
		name: "root for forced commands", server: "PermitRootLogin forced-commands-only",
		why: "sshd's one process accepts the login, its other ends the connection: as the command was sent, its fate is unknown", ours: fleet.OutcomeUnknown,
	},
	{name: "no public keys", server: "PubkeyAuthentication no"},
	{name: "we offer none", client: "PubkeyAuthentication no"},
	{name: "password first, then keys", client: "PreferredAuthentications password,publickey"},
	{name: "only passwords", client: "PreferredAuthentications password"},
	{name: "two factors wanted", server: "PasswordAuthentication yes\nAuthenticationMethods publickey,password"},
	{name: "key twice", server: "AuthenticationMethods publickey,publickey"},
	{name: "any method", server: "AuthenticationMethods any"},
	{name: "key type not taken", server: "PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256"},
	{name: "key type not offered", client: "PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256"},
	{name: "keys by a command", server: "AuthorizedKeysFile none\nAuthorizedKeysCommand /bin/cat /dev/null\nAuthorizedKeysCommandUser root"},
	{name: "no authorized keys", server: "AuthorizedKeysFile /no/such/file"},
	{name: "one try", server: "MaxAuthTries 1"},
	{name: "forced command", server: "ForceCommand echo forced; echo $SSH_ORIGINAL_COMMAND >&2; exit 9"},
	{name: "forced command that is not there", server: "ForceCommand /no/such/program"},
	{name: "forced internal-sftp", server: "ForceCommand internal-sftp"},
	{name: "chroot that is not there", server: "ChrootDirectory /no/such/directory"},
	{name: "no sessions", server: "MaxSessions 0"},
	{name: "one session", server: "MaxSessions 1"},
	{name: "no terminal permitted", server: "PermitTTY no"},
	{name: "banner", server: "Banner /etc/passwd"},
	{name: "no such banner", server: "Banner /no/such/file"},
	{name: "variables, not taken", client: "SetEnv A=1 B=2"},
	{name: "variables, taken", server: "AcceptEnv A B", client: "SetEnv A=1 B=2"},
	{name: "variables, some taken", server: "AcceptEnv A", client: "SetEnv A=1 B=2"},
	{name: "a variable with quotes", server: "AcceptEnv A", client: `SetEnv A="x y'z"`},
	{name: "sent, not there", server: "AcceptEnv *", client: "SendEnv NO_SUCH_VARIABLE"},
	{name: "the server's variables", server: "SetEnv A=fromserver", client: "SetEnv A=1"},
	{name: "kex in common", server: "KexAlgorithms ecdh-sha2-nistp521", client: "KexAlgorithms ecdh-sha2-nistp521,curve25519-sha256"},
	{name: "no kex in common", server: "KexAlgorithms ecdh-sha2-nistp521", client: "KexAlgorithms curve25519-sha256"},
	{name: "no cipher in common", server: "Ciphers aes128-ctr", client: "Ciphers aes256-ctr"},
	{name: "no MAC in common", server: "MACs hmac-sha2-512\nCiphers aes128-ctr", client: "MACs hmac-sha2-256"},
	{name: "no host key type in common", client: "HostKeyAlgorithms ecdsa-sha2-nistp256"},
	{name: "old kex", server: "KexAlgorithms diffie-hellman-group1-sha1", client: "KexAlgorithms diffie-hellman-group14-sha256"},
	{name: "old cipher at the server", server: "Ciphers 3des-cbc"},
	{name: "group 14", server: "KexAlgorithms diffie-hellman-group14-sha256"},
	{name: "group 16", server: "KexAlgorithms diffie-hellman-group16-sha512"},
	{name: "chacha20", server: "Ciphers chacha20-poly1305@openssh.com"},
	{name: "ctr, encrypt then MAC", server: "Ciphers aes256-ctr\nMACs hmac-sha2-256-etm@openssh.com"},
	{
		name: "an odd cipher, encrypt then MAC", server: "Ciphers aes192-ctr\nMACs hmac-sha2-256-etm@openssh.com",
		why: "our client has no aes192-ctr, and the one that has it no MAC behind the encryption", ours: fleet.OutcomeNeverStarted,
	},
	{name: "ctr, MAC in plain", server: "Ciphers aes256-ctr\nMACs hmac-sha2-512"},
	{name: "rekeying all the time", server: "RekeyLimit 16K"},
	{name: "compression wanted", client: "Compression yes"},
	{name: "delayed compression", server: "Compression delayed"},
	{name: "host key alias, not known", client: "HostKeyAlias elsewhere"},
	{name: "no such identity, but this one", client: "IdentityFile /no/such/key"},
	{name: "a host by Match", client: "Match host 127.*\nPubkeyAuthentication no"},
	{name: "a user by Match", client: "Match user nobody-of-that-name\nPubkeyAuthentication no"},
	{name: "a proxy that fails", client: "ProxyCommand false"},
	{name: "a proxy that talks", client: "ProxyCommand echo hello"},
	{name: "a bind address", client: "BindAddress 127.0.0.3"},
	{name: "a bind address that is not here", client: "BindAddress 192.0.2.1"},
	{name: "IPv6 alone", client: "AddressFamily inet6"},
	{name: "a remote command in the file", client: "RemoteCommand echo other"},
	{name: "terminal asked for in the file", client: "RequestTTY force", why: "we ask for none unless --tty does", ours: fleet.OutcomeFailed},
}

// Where ssh runs the command, so do we, with the same status and output; where it does not, we do
// not, and say that it never started.
func TestLoginsAgreeWithSSH(t *testing.T) {
	t.Parallel()
	needs.Program(t, "ssh")
	const command = "echo out [$A] [$B] [$NO_SUCH_VARIABLE]; echo err >&2; exit 3"
	reasons := 0
	for _, c := range logins {
		if c.why != "" {
			reasons++
			t.Logf("%s: %s", c.name, c.why)
		}
	}
	t.Logf("%d logins, %d listed differences", len(logins), reasons)
	t.Run("logins", func(t *testing.T) {
		for _, c := range logins {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				var options []sshdtest.Option
				if c.server != "" {
					options = append(options, sshdtest.WithConfig(strings.Split(c.server, "\n")...))
				}
				s := sshdtest.OpenSSH(t, options...)
				config := filepath.Join(t.TempDir(), "config")
				if err := os.WriteFile(config, []byte(c.client+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				user := c.user
				if user == "" {
					user = s.User
				}
				want := bySSH(t, s, config, user, command, "-n")
				got, r := byUs(t, s, config, user, command)
				if want.status == 255 { // ssh's own text, which is not ours
					want.stderr, got.stderr = "", ""
				}
				if c.why == "" && got != want {
					t.Errorf("we say %+v, ssh says %+v\n%v %v: %v", got, want, r.Outcome, r.Reason, r.Err)
				}
				// A later ssh may agree with us.
				if c.why != "" && got != want && r.Outcome != c.ours {
					t.Errorf("ended %v, want %v: %v", r.Outcome, c.ours, r.Err)
				}
				// sshd itself ends a session with the status 255, as the command that it replaces.
				ran := r.Outcome.Ran() && r.Status != 255
				if c.why == "" && (ran == (want.status == 255) || r.Outcome == fleet.OutcomeUnknown) {
					t.Errorf("ended %v, ssh exits with %d: %v", r.Outcome, want.status, r.Err)
				}
			})
		}
	})
	if n := len(logins) + len(commands); n < 180 {
		t.Errorf("%d fixtures", n)
	}
}
