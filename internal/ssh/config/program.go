package config

import (
	"fmt"
	"slices"
	"strings"
)

// A Program is what the configuration asks for that only the system's ssh has.
type Program struct {
	// Options are lines of ssh_config for the program.
	Options []string
	// Methods are the authentication methods to try without a password, in the order of
	// trying: gssapi-with-mic, hostbased and publickey where they are enabled.
	Methods []string
	// Needed is the keyword, as it is usually written, without which the host cannot be
	// reached as configured; "" if there is none.
	Needed string
	// KnownHostsCommand means that there is such a command.
	KnownHostsCommand bool
	// OtherLogins means that there are ways to log in beside the keys of IdentityFile and of
	// the agent.
	OtherLogins bool
	// ControlPath is the socket of an open connection to use; "" means none.
	ControlPath string
}

// onlyProgram are the keywords that need the program, with what is lost without it.
var onlyProgram = []refusal{
	{opKnownHostsCommand, "none", "commands are not asked for host keys"},
	{opPKCS11Provider, "none", "PKCS#11 libraries are not loaded; their keys are used through an agent"},
}

// Program returns what only the system's ssh has, and a notice about what it does not get
// either; "" if there is none.
func (r *Resolved) Program() (p Program, notice string) {
	add := func(o op, keyword, value string) {
		if r.values.first[o] != nil && value != "" {
			p.Options = append(p.Options, keyword+" "+value)
		}
	}
	for _, k := range []struct {
		op      op
		keyword string
	}{
		{opKexAlgorithms, "KexAlgorithms"},
		{opCiphers, "Ciphers"},
		{opMACs, "MACs"},
		{opHostKeyAlgorithms, "HostKeyAlgorithms"},
		{opPubkeyAcceptedAlgorithms, "PubkeyAcceptedAlgorithms"},
		{opHostbasedAcceptedAlgorithms, "HostbasedAcceptedAlgorithms"},
	} {
		if s := r.values.first[k.op]; s != nil {
			add(k.op, k.keyword, s.written)
		}
	}
	gssapi, hostbased := r.flag(opGSSAPIAuthentication, false), r.flag(opHostbasedAuthentication, false)
	if gssapi {
		p.Options = append(p.Options, "GSSAPIAuthentication yes")
		add(opGSSAPIDelegateCredentials, "GSSAPIDelegateCredentials", r.text(opGSSAPIDelegateCredentials))
		server, client := r.text(opGSSAPIServerIdentity), r.text(opGSSAPIClientIdentity)
		if server != "" || client != "" { // not every ssh knows them
			p.Options = append(p.Options, "IgnoreUnknown GSSAPIServerIdentity,GSSAPIClientIdentity")
			add(opGSSAPIServerIdentity, "GSSAPIServerIdentity", oneWord(server))
			add(opGSSAPIClientIdentity, "GSSAPIClientIdentity", oneWord(client))
		}
	}
	if hostbased {
		p.Options = append(p.Options, "HostbasedAuthentication yes")
	}
	add(opSecurityKeyProvider, "SecurityKeyProvider", oneWord(r.text(opSecurityKeyProvider)))
	if library := r.textNotNone(opPKCS11Provider); library != "" {
		p.Needed, p.OtherLogins = "PKCS11Provider", true
		p.Options = append(p.Options, "PKCS11Provider "+oneWord(library))
	}
	if command := r.textNotNone(opKnownHostsCommand); command != "" {
		p.Needed, p.KnownHostsCommand = "KnownHostsCommand", true
		p.Options = append(p.Options, "KnownHostsCommand "+command)
	}
	p.OtherLogins = p.OtherLogins || gssapi || hostbased
	p.Methods = r.programMethods(map[string]bool{
		"gssapi-with-mic": gssapi, "hostbased": hostbased, "publickey": r.PubkeyAuthentication,
	})
	if text := r.textNotNone(opControlPath); text != "" {
		if namesConnection(text) {
			p.ControlPath, _ = r.path(text) // without it a new connection is made
		} else {
			notice = fmt.Sprintf("ControlPath (%v) has no effect: only a path with %%C, or with %%h, %%p and %%r, is certain to lead to this user on this host",
				r.Why("controlpath"))
		}
	}
	return p, notice
}

// programMethods returns the enabled methods in the order of trying.
func (r *Resolved) programMethods(enabled map[string]bool) []string {
	order := r.PreferredAuthentications
	if order == nil {
		order = []string{"gssapi-with-mic", "hostbased", "publickey"}
	}
	methods := []string{}
	for _, m := range order {
		if enabled[m] && !slices.Contains(methods, m) {
			methods = append(methods, m)
		}
	}
	return methods
}

// namesConnection reports whether a ControlPath differs for each host, port and user, as
// ssh_config(5) recommends. ssh uses any other path too, also if it leads to another host.
func namesConnection(path string) bool {
	has := func(token string) bool { return strings.Contains(path, token) }
	return has("%C") || (has("%h") || has("%n") || has("%k")) && has("%p") && has("%r")
}

// oneWord returns a value as one word of ssh_config.
func oneWord(s string) string {
	return `"` + escaped.Replace(s) + `"`
}
