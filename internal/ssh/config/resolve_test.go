package config_test

import (
	"crypto/sha1"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"shoal/internal/ssh/config"
)

const everything = `
Match final host nothing
Host web
  HostName %h.example.com
  Port 2222
  User deploy
  Tag blue
  AddressFamily inet
  BindAddress 10.0.0.1
  BindInterface eth1
  ConnectTimeout 7
  ConnectionAttempts 2
  TCPKeepAlive no
  ServerAliveInterval 15
  ServerAliveCountMax 4
  ProxyCommand nc -X 5 %h %p "%r %n"
  IdentityFile ~/.ssh/%h_key
  IdentityFile ${KEYS}/%r
  CertificateFile %d/cert
  IdentitiesOnly yes
  IdentityAgent ~/agent-%u
  PubkeyAuthentication unbound
  PasswordAuthentication no
  KbdInteractiveAuthentication no
  PreferredAuthentications publickey,password
  NumberOfPasswordPrompts 1
  BatchMode yes
  UserKnownHostsFile ~/kh/%k ~other/kh
  GlobalKnownHostsFile /etc/kh
  HostKeyAlias WEB-key
  StrictHostKeyChecking accept-new
  HashKnownHosts yes
  RevokedHostKeys ~/revoked-%n
  RequiredRSASize 3072
  KexAlgorithms curve25519-sha256
  Ciphers ^aes256-ctr
  MACs -*sha1*,umac-*
  HostKeyAlgorithms ssh-ed25519
  PubkeyAcceptedAlgorithms rsa-*
  CASignatureAlgorithms ssh-ed25519
  RekeyLimit 1M 1h
  SendEnv LANG LC_*
  SetEnv A=%h B=${KEYS}
`

func TestResolvedHasEverything(t *testing.T) {
	r := resolve(t, load(t, everything, nil), "web")
	want := &config.Resolved{
		Host: "web", HostName: "web.example.com", Port: 2222, User: "deploy", Tag: "blue",
		AddressFamily: "inet", BindAddress: "10.0.0.1", BindInterface: "eth1",
		ConnectTimeout: 7 * time.Second, ConnectionAttempts: 2, TCPKeepAlive: false,
		ServerAliveInterval: 15 * time.Second, ServerAliveCountMax: 4,
		ProxyCommand:     `nc -X 5 web.example.com 2222 "deploy web"`,
		IdentityFiles:    []string{"/home/me/.ssh/web.example.com_key", "/keys/deploy"},
		CertificateFiles: []string{"/home/me/cert"},
		IdentitiesOnly:   true, IdentityAgent: "/home/me/agent-me",
		PubkeyAuthentication: true, PreferredAuthentications: []string{"publickey", "password"},
		NumberOfPasswordPrompts: 1, BatchMode: true,
		UserKnownHostsFiles:   []string{"/home/me/kh/web-key", "/home/other/kh"},
		GlobalKnownHostsFiles: []string{"/etc/kh"},
		HostKeyAlias:          "web-key", StrictHostKeyChecking: config.StrictAcceptNew, HashKnownHosts: true,
		RevokedHostKeys: []string{"/home/me/revoked-web"}, RequiredRSASize: 3072,
		KexAlgorithms: []string{"curve25519-sha256"},
		Ciphers: []string{
			"aes256-ctr", "chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com",
			"aes128-ctr", "aes192-ctr",
		},
		MACs: []string{
			"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512",
		},
		HostKeyAlgorithms: []string{"ssh-ed25519"}, HostKeyAlgorithmsSet: true,
		PubkeyAcceptedAlgorithms: []string{
			"rsa-sha2-256", "rsa-sha2-512", "rsa-sha2-256-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com",
		},
		CASignatureAlgorithms: []string{"ssh-ed25519"},
		RekeyBytes:            1 << 20, RekeyInterval: time.Hour,
		SendEnv: []string{"LANG", "LC_*"}, SetEnv: []string{"A=web.example.com", "B=/keys"},
	}
	if diff := cmp.Diff(want, r, cmpopts.IgnoreUnexported(config.Resolved{})); diff != "" {
		t.Error(diff)
	}
	if got := r.Address(); got != "web.example.com:2222" {
		t.Errorf("address %q", got)
	}
}

func TestResolvedDefaults(t *testing.T) {
	r := resolve(t, load(t, "", func(o *config.LoadOptions) { o.File = "NONE" }), "Host.Example")
	want := &config.Resolved{
		Host: "Host.Example", HostName: "host.example", Port: 22, User: "me", AddressFamily: "any",
		ConnectionAttempts: 1, TCPKeepAlive: true, ServerAliveCountMax: 3,
		DefaultIdentities: true, IdentityAgent: "/run/agent",
		PubkeyAuthentication: true, PasswordAuthentication: true, KbdInteractiveAuthentication: true,
		NumberOfPasswordPrompts: 3,
		UserKnownHostsFiles:     []string{"/home/me/.ssh/known_hosts", "/home/me/.ssh/known_hosts2"},
		GlobalKnownHostsFiles:   []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"},
		StrictHostKeyChecking:   config.StrictAsk, RequiredRSASize: 1024,
	}
	lists := []string{
		"KexAlgorithms", "Ciphers", "MACs", "HostKeyAlgorithms", "PubkeyAcceptedAlgorithms", "CASignatureAlgorithms",
	}
	ignore := cmpopts.IgnoreFields(config.Resolved{}, lists...)
	if diff := cmp.Diff(want, r, cmpopts.IgnoreUnexported(config.Resolved{}), ignore); diff != "" {
		t.Error(diff)
	}
	if r.KexAlgorithms[0] != "mlkem768x25519-sha256" || len(r.Ciphers) != 6 || len(r.HostKeyAlgorithms) != 16 {
		t.Errorf("default algorithms %q, %q, %q", r.KexAlgorithms, r.Ciphers, r.HostKeyAlgorithms)
	}
}

func TestWhyNamesFileAndLine(t *testing.T) {
	home := t.TempDir()
	user := writeFile(t, home+"/.ssh/config", "Include sub/*.conf\nHost w*\n  User u\n")
	sub := writeFile(t, home+"/.ssh/sub/a.conf", "\nIdentityFile x\nPort 99\n")
	system := writeFile(t, home+"/etc/ssh_config", "Include more\nUser s\nConnectTimeout 3\n")
	more := writeFile(t, home+"/etc/more", "Compression yes\n")
	c, err := config.Load(config.LoadOptions{
		UserFile: user, SystemFile: system, Local: me(home),
		Set: []string{"BatchMode=yes", "TCPKeepAlive no"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Resolve(t.Context(), "web", config.Options{Port: 7})
	if err != nil {
		t.Fatal(err)
	}
	for keyword, want := range map[string]string{
		"User": user + ":3", "identityfile": sub + ":2", "Port": "command line", "ConnectTimeout": system + ":3",
		"compression": more + ":1", "tcpkeepalive": "command line, option 2", "KeepAlive": "command line, option 2",
		"HostName": "default", "nonsense": "default",
	} {
		if got := r.Why(keyword).String(); got != want {
			t.Errorf("%s comes from %s, want %s", keyword, got, want)
		}
	}
	if want := []string{user, system, sub, more}; !slices.Equal(c.Files(), want) {
		t.Errorf("files %q, want %q", c.Files(), want)
	}
	if !slices.Contains(r.Settings(), config.Setting{Keyword: "user", Value: "u", Source: config.Source{File: user, Line: 3}}) {
		t.Errorf("settings have no user from the configuration: %v", r.Settings())
	}
	if r.Port != 7 {
		t.Errorf("the port that was asked for does not win: %d", r.Port)
	}
}

func TestHostsAreNamedOnce(t *testing.T) {
	c := load(t, "Host a b* !c d\n Match host z\nHost d e f?\nHost *\n", nil)
	var names []string
	for _, h := range c.Hosts() {
		names = append(names, h.Name)
	}
	if got := strings.Join(names, " "); got != "a d e" {
		t.Errorf("names %q", got)
	}
	if h := c.Hosts()[2]; h.Source.Line != 3 {
		t.Errorf("%s stands in line %d, want 3", h.Name, h.Source.Line)
	}
}

func TestNamesFromOutsideAreChecked(t *testing.T) {
	c := load(t, "ProxyCommand nc %h\n", nil)
	for _, host := range []string{
		"", "-oProxyCommand=x", "a;b", "$(id)", "`id`", "a b", "a\nb", "a\x1bb", "a|b", "a,b", strings.Repeat("a", 1025),
	} {
		if _, err := c.Resolve(t.Context(), host, config.Options{}); err == nil {
			t.Errorf("host %q was taken", host)
		}
	}
	for _, user := range []string{"-x", "a;b", "a'b", "a(b", "a\nb", `a\`, "a -b"} {
		if _, err := c.Resolve(t.Context(), "host", config.Options{User: user}); err == nil {
			t.Errorf("user %q was taken", user)
		}
	}
	for _, user := range []string{"a", `DOM\a`, "a b", "a@b", "ä", "50%r"} {
		if r, err := c.Resolve(t.Context(), "host", config.Options{User: user}); err != nil || r.User != user {
			t.Errorf("user %q: %v", user, err)
		}
	}
}

// %C is a hash of %l%h%p%r%j, and %j is the last jump host.
func TestConnectionHash(t *testing.T) {
	c := load(t, "Host b\nProxyJump x,u@gate:7\nHost *\nUser u\nIdentityFile %C-%j\n", nil)
	for host, jump := range map[string]string{"a": "", "b": "gate"} {
		want := fmt.Sprintf("%x-%s", sha1.Sum([]byte("desk.example.com"+host+"22u"+jump)), jump)
		if got := resolve(t, c, host).IdentityFiles[0]; got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

func TestAgentSocket(t *testing.T) {
	for text, want := range map[string]string{
		"": "/run/agent", "IdentityAgent none": "", "IdentityAgent SSH_AUTH_SOCK": "/run/agent",
		"IdentityAgent $KEYS": "/keys", "IdentityAgent $UNSET": "", "IdentityAgent ${KEYS}/%h": "/keys/h",
		"IdentityAgent ~/s": "/home/me/s",
	} {
		if got := resolve(t, load(t, text, nil), "h").IdentityAgent; got != want {
			t.Errorf("%q: socket %q, want %q", text, got, want)
		}
	}
}

func TestAlgorithmsAreTheClients(t *testing.T) {
	limited := func(o *config.LoadOptions) {
		o.Algorithms.Ciphers = config.AlgorithmList{
			Default: []string{"aes128-ctr"}, Supported: []string{"aes128-ctr", "aes256-ctr", "own@example.com"},
		}
	}
	for text, want := range map[string]string{
		"":                                 "aes128-ctr",
		"Ciphers +aes256-ctr,aes192-ctr":   "aes128-ctr aes256-ctr",
		"Ciphers ^own@example.com":         "own@example.com aes128-ctr",
		"Ciphers 3des-cbc,aes256-ctr":      "aes256-ctr",
		"Host other\nCiphers 3des-cbc\n":   "aes128-ctr",
		"Ciphers aes256-ctr\nCiphers bad":  "unknown algorithm",
		"Ciphers 3des-cbc":                 "none of these algorithms is supported",
		"Ciphers -aes128-ctr":              "none of these algorithms is supported",
		"Ciphers aes*":                     "unknown algorithm",
		"HostKeyAlgorithms !ssh-ed25519,*": "unknown algorithm",
	} {
		c, err := tryLoad(t, text, limited)
		var r *config.Resolved
		if err == nil {
			r, err = c.Resolve(t.Context(), "h", config.Options{})
		}
		if err != nil {
			wantError(t, err, want)
		} else if got := strings.Join(r.Ciphers, " "); got != want {
			t.Errorf("%q: ciphers %q, want %q", text, got, want)
		}
	}
}

func TestConfigServesManyAtOnce(t *testing.T) {
	c := load(t, everything+"Match final exec \"is %h\"\nUser final\nHost h*\nPort 5\n", func(o *config.LoadOptions) {
		o.Exec = countingExec(new(sync.Map))
	})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				host := []string{"web", "h1", "h2", "h3"}[i%4]
				r, err := c.Resolve(t.Context(), host, config.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				if want := map[bool]uint16{true: 2222, false: 5}[host == "web"]; r.Port != want {
					t.Errorf("%s: port %d", host, r.Port)
				}
				_ = r.Settings()
			}
		})
	}
	all.Wait()
}

// SendEnv sends what this process has and its patterns match, before what SetEnv sets.
func TestEnv(t *testing.T) {
	environ := func(o *config.LoadOptions) {
		o.Local.Environ = func() []string { return []string{"LANG=C.UTF-8", "LC_ALL=de_DE", "HOME=/x", "LC_A=b=c d", "EMPTY="} }
	}
	for text, want := range map[string]string{
		"":                                      "",
		"SendEnv LANG LC_*":                     "LANG=C.UTF-8|LC_ALL=de_DE|LC_A=b=c d",
		"SendEnv LANG LC_*\nSendEnv -LC_*":      "LANG=C.UTF-8",
		"SendEnv EMPTY NONE\nSetEnv A=b LANG=x": "EMPTY=|A=b|LANG=x",
		"SetEnv A=b\nSendEnv ?ANG":              "LANG=C.UTF-8|A=b",
		"SetEnv A=b":                            "A=b",
		"Host other\nSendEnv *":                 "",
	} {
		if got := strings.Join(resolve(t, load(t, text+"\n", environ), "h").Env(), "|"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// The methods that may be tried, in their order.
func TestAuthMethods(t *testing.T) {
	for text, want := range map[string]string{
		"":                                            "",
		"PasswordAuthentication no":                   "publickey keyboard-interactive",
		"KbdInteractiveAuthentication no":             "publickey password",
		"ChallengeResponseAuthentication no":          "publickey password",
		"PubkeyAuthentication no":                     "password keyboard-interactive",
		"BatchMode yes":                               "publickey",
		"NumberOfPasswordPrompts 0":                   "publickey",
		"NumberOfPasswordPrompts 1":                   "",
		"PreferredAuthentications password,publickey": "password publickey",
		"PreferredAuthentications gssapi-with-mic,publickey,publickey":                      "publickey",
		"PreferredAuthentications keyboard-interactive,password\nPasswordAuthentication no": "keyboard-interactive",
		"PreferredAuthentications hostbased":                                                "config:1: preferredauthentications: no method is left",
		"PreferredAuthentications password\nBatchMode yes":                                  "config:1: preferredauthentications: no method is left",
		"PubkeyAuthentication no\nBatchMode yes":                                            "config:1: pubkeyauthentication: no authentication method is left",
	} {
		methods, err := resolve(t, load(t, text+"\n", nil), "h").AuthMethods()
		if strings.Contains(want, ":") {
			wantError(t, err, want)
		} else if got := strings.Join(methods, " "); err != nil || got != want || (methods == nil) != (want == "") {
			t.Errorf("%q: %q (%v), want %q", text, got, err, want)
		}
	}
}
