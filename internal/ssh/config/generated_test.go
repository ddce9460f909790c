package config

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"shoal/internal/ssh/match"
)

// generatedSamples is the number of configurations that TestGeneratedAgreeWithSSH generates.
const generatedSamples = 320

// vocabulary maps keywords to possible values, most of them valid.
var vocabulary = map[string][]string{
	"User":                         {"alice", "bob", `"carol c"`, "d#e"},
	"HostName":                     {"%h", "%h.example.com", "real.example.com", "10.0.0.7", "::1", "UPPER", "x-%h-y", "127.1"},
	"Port":                         {"22", "2222", "65535", "ssh", `"99"`},
	"IdentityFile":                 {"~/.ssh/id_a", "/k/%h/%r", "none", "%d/%u", `"with space"`, "${SC_DIR}/k"},
	"CertificateFile":              {"~/.ssh/c-%n", "/c/b"},
	"IdentitiesOnly":               {"yes", "no", "TRUE"},
	"IdentityAgent":                {"none", "~/a.sock", "${SC_DIR}/s", "SSH_AUTH_SOCK", "/a/%r@%h-%p"},
	"AddKeysToAgent":               {"yes", "ask", "confirm 10m", "1h"},
	"ProxyJump":                    {"jump", "u@j1,j2:2200", "none", "[fe80::1]:22", "ssh://x@y:7"},
	"ProxyCommand":                 {"nc %h %p", "none", `ssh -W "[%h]:%p" %r@gw`, "x # y"},
	"UserKnownHostsFile":           {"~/kh", "/kh/%k /kh/%h", "none", "a b c", "${SC_DIR}/%C"},
	"GlobalKnownHostsFile":         {"/g", "none", "~/g /h"},
	"HostKeyAlias":                 {"Alias", "alias2"},
	"StrictHostKeyChecking":        {"yes", "no", "ask", "accept-new", "off"},
	"CheckHostIP":                  {"yes", "no"},
	"UpdateHostKeys":               {"yes", "no", "ask"},
	"HashKnownHosts":               {"yes", "no"},
	"VerifyHostKeyDNS":             {"yes", "no", "ask"},
	"HostKeyAlgorithms":            {"ssh-ed25519", "+ssh-rsa", "-ecdsa*", "^rsa-sha2-*", "*cert*"},
	"KexAlgorithms":                {"curve25519-sha256", "+diffie-hellman-group1-sha1", "-*nist*", "^ecdh-sha2-nistp521"},
	"Ciphers":                      {"aes256-ctr,aes128-ctr", "+3des-cbc", "-chacha*,aes128*", "^aes256-gcm@openssh.com"},
	"MACs":                         {"hmac-sha2-512", "+hmac-md5", "-*sha1*", "^hmac-sha2-256"},
	"PubkeyAcceptedAlgorithms":     {"+ssh-rsa*", "-sk-*", "ssh-ed25519,rsa-*"},
	"CASignatureAlgorithms":        {"-rsa*", "ssh-ed25519", "+ssh-rsa"},
	"ConnectTimeout":               {"5", "1m", "none", "1h30m", "0"},
	"ConnectionAttempts":           {"1", "5"},
	"ServerAliveInterval":          {"15", "1m", "none", "0"},
	"ServerAliveCountMax":          {"1", "10"},
	"TCPKeepAlive":                 {"yes", "no"},
	"CanonicalizeMaxDots":          {"0", "3"},
	"CanonicalDomains":             {"example.com", "A.b. c.d", "none"},
	"CanonicalizePermittedCNAMEs":  {"none"},
	"CanonicalizeFallbackLocal":    {"yes"},
	"RequiredRSASize":              {"2048", "4096"},
	"RevokedHostKeys":              {"/krl", "none"},
	"BindAddress":                  {"127.0.0.1", "*"},
	"BindInterface":                {"lo"},
	"AddressFamily":                {"any", "inet", "inet6"},
	"PreferredAuthentications":     {"publickey", "publickey,password"},
	"PubkeyAuthentication":         {"yes", "no", "unbound"},
	"PasswordAuthentication":       {"yes", "no"},
	"KbdInteractiveAuthentication": {"yes", "no"},
	"NumberOfPasswordPrompts":      {"0", "1"},
	"SendEnv":                      {"LANG LC_*", "-LC_*", "X", "-*"},
	"SetEnv":                       {"A=1", `B="2 3" C=`, "D=e=f"},
	"Compression":                  {"yes", "no"},
	"RekeyLimit":                   {"1G", "default 1h", "512M none", "100K 5m"},
	"LogLevel":                     {"QUIET", "INFO", "DEBUG3", "error"},
	"SyslogFacility":               {"AUTH", "LOCAL7"},
	"LocalForward":                 {"8080 localhost:80", "[::1]:99 /s/%h", "/a/b c:9"},
	"RemoteForward":                {"9090 localhost:90", "9091", "/r/%n x:1"},
	"DynamicForward":               {"1080", "localhost:1081"},
	"ClearAllForwardings":          {"yes", "no"},
	"ControlMaster":                {"auto", "no", "ask"},
	"ControlPath":                  {"~/cm/%C", "none", "/x/%r@%h:%p"},
	"ControlPersist":               {"yes", "no", "10m", "0"},
	"ForwardAgent":                 {"yes", "no", "$SC_DIR", "/s"},
	"ForwardX11":                   {"yes", "no"},
	"ForwardX11Timeout":            {"10", "1h"},
	"RequestTTY":                   {"yes", "no", "force", "auto"},
	"EscapeChar":                   {"none", "~", "^x", "%"},
	"IPQoS":                        {"af21", "cs1 ef", "0x20", "none"},
	"RemoteCommand":                {"none", "echo %h %p", `sh -c "a b"`},
	"LocalCommand":                 {"none", "x %h"},
	"PermitLocalCommand":           {"yes", "no"},
	"Tunnel":                       {"yes", "no", "ethernet"},
	"TunnelDevice":                 {"any", "0:any", "1:2"},
	"StreamLocalBindMask":          {"0177", "0"},
	"GSSAPIAuthentication":         {"yes", "no"},
	"PermitRemoteOpen":             {"any", "a:1 b:2", "none"},
	"LogVerbose":                   {"x:*:1", "a,b c"},
	"IgnoreUnknown":                {"strange*", "strange,odd"},
	"Strange":                      {"1 2", `"x"`},
	"Protocol":                     {"2"},
	"UsePrivilegedPort":            {"yes"},
}

var (
	hostNames    = []string{"web1", "web2", "db1.example.com", "DB2", "other", "gw", "10.1.2.3"}
	hostPatterns = []string{
		"*", "web*", "web?", "!web2", "db*", "db1.example.com", "*.example.com", "!*.example.com", "web1", "gw", "10.*", "DB2",
		"real.example.com", "x-*",
	}
	lists    = []string{"*", "web*,!web2", "*.example.com", "db?,gw", "10.*", "!x,*", "real*", "x-*"}
	names    = []string{"alice", "bob,carol*", "root", "*", "!bob,*", "nobody"}
	commands = []string{"true", "false", "test %h = web1", "test %p = 22", "test %r = bob", "test %n = gw", "exit 3"}
)

// A generator generates random configurations.
type generator struct {
	*rand.Rand
	keywords []string
	b        strings.Builder
	includes []string // files that may be included
}

func pick[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

// keyword writes a name in one of its common spellings.
func (g *generator) keyword(name string) string {
	switch g.IntN(8) {
	case 0:
		name = strings.ToLower(name)
	case 1:
		name = strings.ToUpper(name)
	case 2:
		return `"` + name + `" `
	}
	return name + pick(g, []string{" ", " ", " ", "=", " = ", "\t", "  "})
}

func (g *generator) line() {
	g.b.WriteString(pick(g, []string{"", "  ", "\t", "    "}))
	name := pick(g, g.keywords)
	value := pick(g, vocabulary[name])
	// A comment would become part of these values.
	raw := strings.HasSuffix(name, "Command") || strings.HasPrefix(name, "Proxy")
	g.b.WriteString(g.keyword(name) + value)
	if !raw {
		g.b.WriteString(pick(g, []string{"", "", "", "", " # comment", " ", "\t"}))
	}
	g.b.WriteString(pick(g, []string{"\n", "\n", "\n", "\r\n", " \n"}))
}

func (g *generator) block() {
	switch g.IntN(10) {
	case 0, 1, 2, 3:
		g.b.WriteString(g.keyword("Host"))
		for range 1 + g.IntN(3) {
			g.b.WriteString(pick(g, hostPatterns) + " ")
		}
	case 4, 5, 6, 7:
		g.b.WriteString("Match" + g.criteria())
	case 8:
		if len(g.includes) > 0 {
			g.b.WriteString(g.keyword("Include") + "@" + pick(g, g.includes))
		}
	case 9:
		g.b.WriteString("\n# Host in a comment")
	}
	g.b.WriteString("\n")
	for range g.IntN(6) {
		g.line()
	}
}

func (g *generator) criteria() string {
	switch g.IntN(12) {
	case 0:
		return " all"
	case 1:
		return " final all"
	}
	var b strings.Builder
	for range 1 + g.IntN(2) {
		b.WriteString(" " + pick(g, []string{"", "", "", "!"}))
		separator := pick(g, []string{" ", " ", "="})
		switch g.IntN(8) {
		case 0, 1:
			b.WriteString("host" + separator + pick(g, lists))
		case 2:
			b.WriteString("originalhost" + separator + pick(g, lists))
		case 3:
			b.WriteString("user" + separator + pick(g, names))
		case 4:
			b.WriteString("localuser" + separator + pick(g, names))
		case 5:
			b.WriteString(`exec "` + pick(g, commands) + `"`)
		case 6:
			b.WriteString("final")
		case 7:
			b.WriteString("canonical")
		}
	}
	return b.String()
}

func (g *generator) config() string {
	g.b.Reset()
	for range g.IntN(4) {
		g.line()
	}
	for range 1 + g.IntN(6) {
		g.block()
	}
	return g.b.String()
}

func generate(seed uint64, keywords []string) *sample {
	g := &generator{Rand: rand.New(rand.NewPCG(5, seed)), keywords: keywords}
	s := &sample{name: fmt.Sprint("seed-", seed), files: make(map[string]string)}
	for _, name := range []string{"inc-a", "inc-b", "inc-c"} {
		if g.IntN(2) == 0 {
			s.files[name] = g.config()
			g.includes = append(g.includes, name)
		}
	}
	g.includes = append(g.includes, "inc-*", "missing")
	s.files["config"] = g.config()
	s.host = pick(g, hostNames)
	if g.IntN(4) == 0 {
		s.user = pick(g, []string{"bob", "root", "eve"})
	}
	if g.IntN(6) == 0 {
		s.port = 7777
	}
	for range g.IntN(3) {
		name := pick(g, keywords)
		s.set = append(s.set, name+"="+pick(g, vocabulary[name]))
	}
	return s
}

func vocabularyKeywords() []string {
	var names []string
	for _, k := range Keywords() {
		for name := range vocabulary {
			if match.Lower(name) == k.Name {
				names = append(names, name)
			}
		}
	}
	return append(names, "IgnoreUnknown", "Strange")
}

// faults.md: I11
func TestGeneratedAgreeWithSSH(t *testing.T) {
	o := newOracle(t)
	keywords := vocabularyKeywords()
	var accepted [generatedSamples]bool
	t.Run("samples", func(t *testing.T) {
		for i := range generatedSamples {
			s := generate(uint64(i), keywords)
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				accepted[i] = o.check(t, s)
			})
		}
	})
	n := 0
	for _, ok := range accepted {
		if ok {
			n++
		}
	}
	if n < generatedSamples/2 {
		t.Errorf("ssh accepts only %d of %d configurations: they show too little", n, generatedSamples)
	}
	t.Logf("%d of %d accepted", n, generatedSamples)
}
