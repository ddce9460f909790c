package shoal_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal"
	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/sshdtest"
)

// runWith runs a command on a real server with an ssh_config.
func runWith(t *testing.T, s *sshdtest.Server, config string, standard bool, identity string) fleet.Result {
	t.Helper()
	targets, err := shoal.Hosts(fmt.Sprintf("%s@%s:%d", s.User, s.Host.Name, s.Host.Port))
	if err != nil {
		t.Fatal(err)
	}
	opts := shoal.Options{
		Config: shoal.Config{File: config}, HostKeys: shoal.HostKeys{Files: []string{s.KnownHosts}},
		Login: shoal.Login{Identities: []string{identity}, Agent: shoal.NoAgent}, Client: shoal.Client{Standard: standard},
	}
	var results []fleet.Result
	for res, err := range shoal.Run(t.Context(), targets, "echo ok", opts) {
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, res)
	}
	if len(results) != 1 {
		t.Fatalf("%d results", len(results))
	}
	return results[0]
}

// askSSH runs the same command with ssh and returns its error and what it says.
func askSSH(t *testing.T, s *sshdtest.Server, config, identity string) (string, error) {
	t.Helper()
	cmd := exec.Command(needs.Program(t, "ssh"), "-F", config, "-o", "UserKnownHostsFile="+s.KnownHosts, "-o", "BatchMode=yes",
		"-i", identity, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-p", fmt.Sprint(s.Host.Port), s.User+"@"+s.Host.Name, "echo ok")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// newRSAKey writes an RSA key and returns its path and public half.
func newRSAKey(t *testing.T) (string, ssh.PublicKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "id_rsa")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, public
}

// What ssh_config says about algorithms reaches a server that ssh reaches too, by our client or
// by the fallback (cases 27, 28). What comes from the old world is used only where it is named,
// and flagged.
func TestConfiguredAlgorithms(t *testing.T) {
	t.Parallel()
	const (
		fallback = fleet.FlagExitKnown | fleet.FlagFallback
		legacy   = fallback | fleet.FlagLegacy
		own      = fleet.FlagExitKnown
		fedora   = "Ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-gcm@openssh.com,aes128-ctr\n" +
			"MACs hmac-sha2-256-etm@openssh.com,hmac-sha1-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-512-etm@openssh.com," +
			"hmac-sha2-256,hmac-sha1,umac-128@openssh.com,hmac-sha2-512\n" +
			"KexAlgorithms curve25519-sha256,ecdh-sha2-nistp256,diffie-hellman-group14-sha256,diffie-hellman-group16-sha512\n" +
			"HostKeyAlgorithms ecdsa-sha2-nistp256,ssh-ed25519,rsa-sha2-256,rsa-sha2-512\n"
	)
	rsaKey, rsaPublic := newRSAKey(t)
	for name, c := range map[string]struct {
		server  []sshdtest.Option
		config  string
		flags   fleet.Flags
		without string // in the error without the configuration; "" means that it is not needed
		rsa     bool   // the user's key is RSA
	}{
		"Fedora":   {[]sshdtest.Option{sshdtest.WithKex("diffie-hellman-group14-sha256")}, fedora, fallback, "", false},
		"kex only": {[]sshdtest.Option{sshdtest.WithKex("diffie-hellman-group-exchange-sha256")}, "KexAlgorithms diffie-hellman-group-exchange-sha256", fallback, "", false},
		"MACs":     {[]sshdtest.Option{sshdtest.WithKex("diffie-hellman-group14-sha256"), sshdtest.WithCiphers("aes128-ctr")}, "MACs hmac-sha2-256", fallback, "", false},
		"ciphers":  {[]sshdtest.Option{sshdtest.WithCiphers("aes192-ctr"), sshdtest.WithMACs("hmac-sha2-256")}, "Ciphers aes192-ctr", own, "", false},
		"our own":  {nil, fedora, own, "", false},
		"group14": {
			[]sshdtest.Option{sshdtest.WithKex("diffie-hellman-group14-sha1")},
			"KexAlgorithms +diffie-hellman-group14-sha1",
			legacy, "-o KexAlgorithms=+diffie-hellman-group14-sha1 allows it", false,
		},
		"group1": {
			[]sshdtest.Option{sshdtest.WithKex("diffie-hellman-group1-sha1")},
			"KexAlgorithms +diffie-hellman-group1-sha1",
			legacy, "-o KexAlgorithms=+diffie-hellman-group1-sha1 allows it", false,
		},
		"aes128-cbc": {
			[]sshdtest.Option{sshdtest.WithCiphers("aes128-cbc")},
			"Ciphers +aes128-cbc",
			legacy, "-o Ciphers=+aes128-cbc allows it", false,
		},
		"a device": {
			[]sshdtest.Option{
				sshdtest.WithHostKeys(sshdtest.RSA), sshdtest.WithConfig("HostKeyAlgorithms ssh-rsa"),
				sshdtest.WithKex("diffie-hellman-group1-sha1"), sshdtest.WithCiphers("3des-cbc"), sshdtest.WithMACs("hmac-sha1"),
			},
			"HostKeyAlgorithms +ssh-rsa\nKexAlgorithms +diffie-hellman-group1-sha1\nCiphers +3des-cbc\nMACs +hmac-sha1",
			legacy, "-o KexAlgorithms=+diffie-hellman-group1-sha1 allows it", false,
		},
		"hmac-sha1": {
			[]sshdtest.Option{sshdtest.WithCiphers("aes256-ctr"), sshdtest.WithMACs("hmac-sha1")},
			"MACs +hmac-sha1",
			legacy, "-o MACs=+hmac-sha1 allows it", false,
		},
		"user key": {
			[]sshdtest.Option{sshdtest.WithAuthorized(rsaPublic), sshdtest.WithConfig("PubkeyAcceptedAlgorithms ssh-rsa")},
			"PubkeyAcceptedAlgorithms ssh-rsa", own | fleet.FlagLegacy, "was not let in", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sshdtest.OpenSSH(t, c.server...)
			config := filepath.Join(t.TempDir(), "config")
			if err := os.WriteFile(config, []byte("Host *\n"+c.config+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			identity := s.KeyFile
			if c.rsa {
				identity = rsaKey
			}
			if said, err := askSSH(t, s, config, identity); err != nil {
				t.Fatalf("ssh does not reach it: %v: %s%s", err, said, s.Log())
			}
			for standard, flags := range map[bool]fleet.Flags{
				false: c.flags, true: c.flags &^ fleet.FlagFallback,
			} {
				if res := runWith(t, s, config, standard, identity); res.Outcome != fleet.OutcomeOK || res.Flags != flags {
					t.Errorf("standard %v: %v(%s), flags %v, want ok, %v: %v", standard, res.Outcome, res.Reason, res.Flags, flags, res.Err)
				}
			}
			if c.without == "" {
				return
			}
			res := runWith(t, s, "none", false, identity)
			if res.Outcome != fleet.OutcomeNeverStarted || !strings.Contains(res.Err.Error(), c.without) {
				t.Errorf("without configuration: %v(%s): %v, want %q", res.Outcome, res.Reason, res.Err, c.without)
			}
		})
	}
}

// What neither client has is done by the system's ssh, or named in the error, with the reason.
func TestAlgorithmsThatAreLacking(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server sshdtest.Option
		want   string
	}{
		"sntrup761": {sshdtest.WithKex("sntrup761x25519-sha512@openssh.com"), "sntrup761x25519-sha512@openssh.com is in no library that we use"},
		"group18":   {sshdtest.WithKex("diffie-hellman-group18-sha512"), "diffie-hellman-group18-sha512 is not in golang.org/x/crypto/ssh"},
		"umac": {
			sshdtest.WithConfig("Ciphers aes128-ctr", "MACs umac-64@openssh.com,umac-128-etm@openssh.com"),
			"umac-64@openssh.com is not in golang.org/x/crypto/ssh; umac-128-etm@openssh.com is not in",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sshdtest.OpenSSH(t, c.server)
			needs.Program(t, "ssh")
			res := runWith(t, s, "none", false, s.KeyFile)
			if res.Outcome != fleet.OutcomeOK || res.Flags != fleet.FlagExitKnown|fleet.FlagOpenSSH {
				t.Errorf("%v(%s), flags %v: %v", res.Outcome, res.Reason, res.Flags, res.Err)
			}
			res = runWith(t, s, "none", true, s.KeyFile)
			if res.Reason != fleet.ReasonNoCommonAlgorithm || !strings.Contains(res.Err.Error(), c.want) || !strings.Contains(res.Err.Error(), "\nhint: ") {
				t.Errorf("%v(%s): %v, want %q and a hint", res.Outcome, res.Reason, res.Err, c.want)
			}
		})
	}
}
