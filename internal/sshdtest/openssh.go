package sshdtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/internal/needs"
)

// privsepDir is compiled into Debian's sshd; it must exist when sshd starts as
// root.
const privsepDir = "/run/sshd"

var openSSH = Kind{
	Name:     "OpenSSH",
	HostKeys: []KeyType{Ed25519, ECDSA, RSA},
	UserKeys: []KeyType{Ed25519, ECDSA, RSA},
	Kex:      []string{ssh.KeyExchangeCurve25519, ssh.KeyExchangeECDHP256},
	Ciphers: []string{
		ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES128CTR, ssh.CipherAES256CTR,
	},
	MACs:     []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512},
	settings: []Setting{Kex, Ciphers, MACs, RekeyLimit, MaxAuthTries, Banner, ForceCommand, Config, Args, Subreaper, Below},
}

// OpenSSH starts sshd. It accepts only public keys, does not use PAM, and logs
// at LogLevel VERBOSE; WithConfig overrides all of these.
func OpenSSH(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := openSSH.apply(t, opts)
	bin := needs.Program(t, "/usr/sbin/sshd")
	if os.Geteuid() == 0 {
		if err := os.MkdirAll(privsepDir, 0o755); err != nil {
			t.Fatalf("making sshd's privilege separation directory: %v", err)
		}
	}
	s := newServer(t, o)
	config := append(slices.Clone(o.config), s.sshdConfig(t, o)...)
	for _, path := range s.makeHostKeys(t, o) {
		config = append(config, "HostKey "+path)
	}
	config = append(config,
		"AuthorizedKeysFile "+s.authorizedKeys(),
		// A home of its own, so that the login shell does not read this user's
		// rc files, which may print, or take half a second each time.
		"SetEnv "+markName+"="+s.dir+" HOME="+s.dir,
		"PidFile none",
		"LogLevel VERBOSE",
		"StrictModes no",
		"UsePAM no",
		"UseDNS no",
		"PermitRootLogin yes",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"PrintMotd no",
		"PrintLastLog no",
	)
	path := filepath.Join(s.dir, "sshd_config")
	write(t, path, []byte(strings.Join(config, "\n")+"\n"), 0o600)

	port, proc := startOnFreePort(t, s.dir, func(port uint16) launch {
		return launch{
			// sshd re-executes itself for each connection, which requires an
			// absolute path.
			argv: o.underSubreaper(t, append(append(slices.Clone(o.below),
				bin, "-D", "-e", "-f", path,
				"-o", fmt.Sprintf("ListenAddress=%s:%d", loopback, port),
			), o.args...)),
			up:   fmt.Sprintf("Server listening on %s port %d.", loopback, port),
			busy: fmt.Sprintf("Bind to port %d on %s failed: Address already in use", port, loopback),
		}
	})
	s.listensOn(t, port, proc)
	return s
}

// sshdConfig returns the options as lines of sshd_config.
func (s *Server) sshdConfig(t testing.TB, o options) []string {
	t.Helper()
	var config []string
	for keyword, names := range map[string][]string{
		"KexAlgorithms": o.kex, "Ciphers": o.ciphers, "MACs": o.macs,
	} {
		if names != nil {
			config = append(config, keyword+" "+strings.Join(names, ","))
		}
	}
	if o.rekeyLimit > 0 {
		config = append(config, fmt.Sprintf("RekeyLimit %d", o.rekeyLimit))
	}
	if o.maxAuthTries > 0 {
		config = append(config, fmt.Sprintf("MaxAuthTries %d", o.maxAuthTries))
	}
	if o.banner != "" {
		config = append(config, "Banner "+s.bannerFile(t, o))
	}
	if o.forceCommand != "" {
		config = append(config, "ForceCommand "+o.forceCommand)
	}
	return config
}
