package config

import (
	"fmt"
	"strings"
)

// The output of ssh -G, for a comparison line by line.

// A Setting is a value and its source.
type Setting struct {
	Keyword string // in lower case
	Value   string // as ssh -G prints it
	Source  Source // zero for OpenSSH's default
}

// String returns "keyword value".
func (s Setting) String() string { return s.Keyword + " " + s.Value }

// Settings returns all values as ssh -G does, including defaults, each with its source.
func (r *Resolved) Settings() []Setting {
	var list []Setting
	for i := range keywordTable {
		k := &keywordTable[i]
		if k.op == opObscureKeystrokeTiming {
			break // the rest is never printed
		}
		list = r.appendSettings(list, k)
	}
	return list
}

// appendSettings appends the lines of one keyword.
func (r *Resolved) appendSettings(list []Setting, k *keyword) []Setting {
	add := func(value string, s *setting) {
		line := Setting{Keyword: k.name, Value: value}
		if s != nil {
			line.Source = *s.source
		}
		list = append(list, line)
	}
	switch k.op {
	case opIdentityFile, opCertificateFile, opSendEnv:
		for _, s := range r.several(k.op) {
			add(s.text, s)
		}
		if k.op == opIdentityFile && r.DefaultIdentities {
			for _, name := range defaultIdentities {
				add("~/.ssh/"+name, nil)
			}
		}
	case opLocalForward, opDynamicForward, opRemoteForward:
		r.eachForward(k.op, add)
	case opSetEnv:
		for _, text := range r.SetEnv {
			add(text, r.values.first[opSetEnv])
		}
	default:
		if value := r.print(k); value != "" {
			add(value, r.values.first[r.origin(k.op)])
		}
	}
	return list
}

// defaultIdentities are the keys that OpenSSH 9.2 tries, in its order.
var defaultIdentities = []string{
	"id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_dsa",
}

func (r *Resolved) eachForward(o op, add func(string, *setting)) {
	if r.flag(opClearAllForwardings, false) {
		return
	}
	for _, s := range r.several(o) {
		f := s.value.(forward)
		// ssh prints a forwarding to a Unix socket under both keywords.
		if o == opDynamicForward && !f.socks && f.connectHost != "" || o == opLocalForward && f.socks {
			continue
		}
		paths := func(path string) (string, error) { return r.tokens.expand(path, tokensCommon, nil) }
		text, err := f.print(o == opDynamicForward, paths)
		if err == nil {
			add(text, s)
		}
	}
}

// origin returns the keyword that a printed value comes from.
func (r *Resolved) origin(o op) op {
	if o == opForwardAgent && r.values.first[opForwardAgentPath] != nil {
		return opForwardAgentPath
	}
	return o
}

// print returns a value as ssh -G prints it, "" for none.
func (r *Resolved) print(k *keyword) string {
	switch k.op {
	case opUser:
		return r.User
	case opHostName:
		return r.HostName
	case opHostKeyAlias:
		return r.HostKeyAlias
	case opCiphers:
		return strings.Join(r.Ciphers, ",")
	case opMACs:
		return strings.Join(r.MACs, ",")
	case opKexAlgorithms:
		return strings.Join(r.KexAlgorithms, ",")
	case opHostKeyAlgorithms:
		return strings.Join(r.HostKeyAlgorithms, ",")
	case opPubkeyAcceptedAlgorithms:
		return strings.Join(r.PubkeyAcceptedAlgorithms, ",")
	case opCASignatureAlgorithms:
		return strings.Join(r.CASignatureAlgorithms, ",")
	case opHostbasedAcceptedAlgorithms:
		return r.textOr(k.op, strings.Join(r.config.algorithms[listHostbased], ","))
	case opUserKnownHostsFile:
		return oneLine(r.UserKnownHostsFiles)
	case opGlobalKnownHostsFile:
		return r.printGlobalFiles()
	case opControlPath, opIdentityAgent:
		return r.printPath(k.op)
	case opLocalCommand, opPKCS11Provider, opRevokedHostKeys, opKnownHostsCommand:
		return r.textNotNone(k.op)
	case opSecurityKeyProvider:
		if strings.EqualFold(r.text(k.op), "none") {
			return ""
		}
	case opRemoteCommand:
		text, err := r.tokens.expand(r.textNotNone(k.op), tokensCommon, nil)
		if err == nil {
			return text
		}
	case opForwardAgent:
		if r.values.first[opForwardAgentPath] != nil {
			return r.printPath(opForwardAgentPath)
		}
	case opTunnel:
		if r.flag(opClearAllForwardings, false) {
			return "false"
		}
	case opUpdateHostKeys:
		return r.printUpdateHostKeys()
	case opRekeyLimit:
		return r.textOr(k.op, "0") + " " + r.textOr(opRekeyInterval, "0")
	case opProxyUseFdpass:
		if len(r.Jumps) > 0 {
			return "no"
		}
	case opProxyCommand:
		return r.textNotNone(k.op)
	case opProxyJump:
		if len(r.Jumps) == 0 {
			return ""
		}
		return r.values.first[k.op].value.(*jumpList).print()
	}
	return r.textOr(k.op, k.standard)
}

// printPath returns a path expanded as far as possible.
func (r *Resolved) printPath(o op) string {
	text := r.text(o)
	if o == opControlPath {
		text = r.textNotNone(o)
	}
	if path, err := r.path(text); err == nil {
		return path
	}
	return text
}

func (r *Resolved) printGlobalFiles() string {
	s := r.values.first[opGlobalKnownHostsFile]
	if s == nil || len(r.GlobalKnownHostsFiles) == 0 {
		return oneLine(r.GlobalKnownHostsFiles)
	}
	return oneLine(s.list)
}

func oneLine(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, " ")
}

// printUpdateHostKeys returns a default that depends on other keywords; "ask" is disabled if
// nobody can be asked (readconf.c and ssh.c).
func (r *Resolved) printUpdateHostKeys() string {
	s := r.values.first[opUpdateHostKeys]
	if s == nil {
		dns := r.textOr(opVerifyHostKeyDNS, "false")
		files := r.values.first[opUserKnownHostsFile]
		plain := files == nil || len(files.list) == 1 && files.list[0] == "~/.ssh/known_hosts"
		if dns == "false" && plain {
			return "true"
		}
		return "false"
	}
	quiet := func() bool {
		level := r.text(opLogLevel)
		return level == "SILENT" || level == "FATAL" || level == "ERROR"
	}
	persistent := r.textOr(opControlPersist, "no") != "no" && r.textNotNone(opControlPath) != ""
	if s.text == "ask" && (persistent || r.textNotNone(opRemoteCommand) != "" || r.text(opRequestTTY) == "false" || quiet()) {
		return "false"
	}
	return s.text
}

// print formats f as ssh -G does.
func (f *forward) print(dynamic bool, paths func(string) (string, error)) (string, error) {
	listen, err := f.end(f.listenPath, f.listenHost, f.listenPort, f.hasListenHost, paths)
	if err != nil || dynamic {
		return listen, err
	}
	host := f.connectHost
	if f.socks {
		host = "socks"
	}
	connect, err := f.end(f.connectPath, host, f.connectPort, true, paths)
	return listen + " " + connect, err
}

func (*forward) end(path, host string, port int, hasHost bool, paths func(string) (string, error)) (string, error) {
	switch {
	case path != "":
		return paths(path)
	case hasHost:
		return fmt.Sprintf("[%s]:%d", host, port), nil
	}
	return fmt.Sprint(port), nil
}

// print formats the list as ssh -G does.
func (l *jumpList) print() string {
	last := l.jumps[len(l.jumps)-1]
	var b strings.Builder
	if l.extra != "" {
		b.WriteString(l.extra + ",")
	}
	if last.User != "" {
		b.WriteString(last.User + "@")
	}
	if strings.Contains(last.Host, ":") || strings.Trim(last.Host, "0123456789.") == "" {
		b.WriteString("[" + last.Host + "]")
	} else {
		b.WriteString(last.Host)
	}
	if last.Port != 0 {
		fmt.Fprintf(&b, ":%d", last.Port)
	}
	return b.String()
}
