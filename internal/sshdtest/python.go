package sshdtest

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/internal/needs"
)

const (
	python = "/usr/bin/python3"
	// modules is the directory of Debian's Python modules.
	modules = "/usr/lib/python3/dist-packages"
	// pythonFlags ignore the environment and the user's site directory, and
	// write no byte code.
	pythonFlags = "-EsB"
)

var asyncSSH = Kind{
	Name:     "AsyncSSH",
	HostKeys: []KeyType{Ed25519, ECDSA, RSA},
	UserKeys: []KeyType{Ed25519, ECDSA, RSA},
	Kex:      []string{ssh.KeyExchangeCurve25519, ssh.KeyExchangeECDHP256},
	Ciphers: []string{
		ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES128CTR, ssh.CipherAES256CTR,
	},
	MACs:     []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512},
	settings: []Setting{Kex, Ciphers, MACs, RekeyLimit, Banner, ForceCommand, Subreaper},
}

// AsyncSSH starts a server on AsyncSSH. It sends the exit status only when no
// process has the command's output open any more. When it starts a key
// re-exchange, version 2.10 continues to send output between its KEXINIT and
// its NEWKEYS, which violates RFC 4253 section 7.1.
func AsyncSSH(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return startPython(t, asyncSSH, "asyncssh", "asyncssh_server.py", opts)
}

var paramiko = Kind{
	Name:     "Paramiko",
	HostKeys: []KeyType{Ed25519, ECDSA, RSA},
	UserKeys: []KeyType{Ed25519, ECDSA, RSA},
	// 2.12 knows the method only by its first name.
	Kex:      []string{"curve25519-sha256@libssh.org", ssh.KeyExchangeECDHP256},
	Ciphers:  []string{ssh.CipherAES128CTR, ssh.CipherAES256CTR},
	MACs:     []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512},
	settings: []Setting{Kex, Ciphers, MACs, RekeyLimit, Banner, ForceCommand},
}

// Paramiko starts a server on Paramiko. It cannot send exit signals: a command
// killed by a signal has a shell's exit status, which is sent only when no
// process has the command's output open any more.
func Paramiko(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return startPython(t, paramiko, "paramiko", "paramiko_server.py", opts)
}

var conch = Kind{
	Name:     "Conch",
	HostKeys: []KeyType{Ed25519, ECDSA, RSA},
	UserKeys: []KeyType{Ed25519, ECDSA, RSA},
	Kex:      []string{ssh.KeyExchangeCurve25519, ssh.KeyExchangeECDHP256},
	Ciphers:  []string{ssh.CipherAES128CTR, ssh.CipherAES256CTR},
	MACs:     []string{ssh.HMACSHA256, ssh.HMACSHA512},
	settings: []Setting{Kex, Ciphers, MACs, ForceCommand},
}

// Conch starts a server on Twisted Conch.
func Conch(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return startPython(t, conch, "twisted", "conch_server.py", opts)
}

// pythonConfig is the input of servers/common.py.
type pythonConfig struct {
	Address        string    `json:"address"`
	Port           uint16    `json:"port"`
	Home           string    `json:"home"`
	HostKeys       []string  `json:"host_keys"`
	HostKeyTypes   []KeyType `json:"host_key_types"`
	AuthorizedKeys string    `json:"authorized_keys"`
	Kex            []string  `json:"kex"`
	Ciphers        []string  `json:"ciphers"`
	MACs           []string  `json:"macs"`
	RekeyBytes     int       `json:"rekey_bytes"`
	Banner         string    `json:"banner"`
	ForceCommand   string    `json:"force_command"`
}

func startPython(t testing.TB, k Kind, module, program string, opts []Option) *Server {
	t.Helper()
	o := k.apply(t, opts)
	needs.Program(t, filepath.Join(modules, module))
	bin := needs.Program(t, python)
	s := newServer(t, o)
	config := pythonConfig{
		Address:        loopback,
		Home:           s.dir,
		HostKeys:       s.makeHostKeys(t, o),
		HostKeyTypes:   o.hostKeys,
		AuthorizedKeys: s.authorizedKeys(),
		Kex:            o.kex,
		Ciphers:        o.ciphers,
		MACs:           o.macs,
		RekeyBytes:     o.rekeyLimit,
		Banner:         o.banner,
		ForceCommand:   o.forceCommand,
	}
	program = s.unpack(t, program)
	path := filepath.Join(s.dir, "server.json")
	port, proc := startOnFreePort(t, s.dir, func(port uint16) launch {
		config.Port = port
		text, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, text, 0o600)
		return launched(o.underSubreaper(t, []string{bin, pythonFlags, program, path}), port)
	})
	s.listensOn(t, port, proc)
	return s
}
