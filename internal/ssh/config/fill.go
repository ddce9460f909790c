package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/internal/ssh/match"
)

// finish fills in a Resolved.
func (e *evaluation) finish() (*Resolved, error) {
	r := &Resolved{Host: e.original, HostName: e.host, config: e.config, values: &e.values, program: e.options.Program}
	if err := ValidHostName(r.HostName); err != nil {
		return nil, r.problem(opHostName, err)
	}
	r.tokens = e.tokens(e.host)
	user, err := e.expandUser(r.tokens)
	if err == nil {
		err = ValidUser(user)
	}
	if err != nil {
		return nil, r.problem(opUser, err)
	}
	r.User, r.tokens.remote = user, user
	r.HostKeyAlias = match.Lower(r.text(opHostKeyAlias))
	if r.HostKeyAlias != "" {
		// It may reach a shell as %k in ProxyCommand.
		if err := ValidHostName(r.HostKeyAlias); err != nil {
			return nil, r.problem(opHostKeyAlias, err)
		}
		r.tokens.alias = r.HostKeyAlias
	}
	r.fillPlain()
	for _, fill := range []func() error{r.fillProxy, r.fillIdentities, r.fillTrust, r.fillAlgorithms, r.fillEnv} {
		if err := fill(); err != nil {
			return nil, err
		}
	}
	if r.ConnectionAttempts < 1 {
		return nil, r.problem(opConnectionAttempts, fmt.Errorf("%d attempts", r.ConnectionAttempts))
	}
	return r, nil
}

// fillPlain sets the values that need no expansion.
func (r *Resolved) fillPlain() {
	r.Port = uint16(r.num(opPort, 22))
	r.Tag = r.text(opTag)
	r.AddressFamily = r.textOr(opAddressFamily, "any")
	r.BindAddress, r.BindInterface = r.text(opBindAddress), r.text(opBindInterface)
	r.ConnectTimeout = r.seconds(opConnectTimeout)
	r.ConnectionAttempts = int(r.num(opConnectionAttempts, 1))
	r.TCPKeepAlive = r.flag(opTCPKeepAlive, true)
	r.ServerAliveInterval = r.seconds(opServerAliveInterval)
	r.ServerAliveCountMax = int(r.num(opServerAliveCountMax, 3))
	tty := r.text(opRequestTTY)
	r.RequestTTY = tty == "true" || tty == "force"
	r.IdentitiesOnly = r.flag(opIdentitiesOnly, false)
	r.PubkeyAuthentication = r.text(opPubkeyAuthentication) != "false"
	r.PasswordAuthentication = r.flag(opPasswordAuthentication, true)
	r.KbdInteractiveAuthentication = r.flag(opKbdInteractiveAuthentication, true)
	if list := r.text(opPreferredAuthentications); list != "" {
		r.PreferredAuthentications = strings.Split(list, ",")
	}
	r.NumberOfPasswordPrompts = int(r.num(opNumberOfPasswordPrompts, 3))
	r.BatchMode = r.flag(opBatchMode, false)
	r.HashKnownHosts = r.flag(opHashKnownHosts, false)
	r.RequiredRSASize = int(r.num(opRequiredRSASize, 1024))
	r.RekeyBytes, r.RekeyInterval = r.num(opRekeyLimit, 0), r.seconds(opRekeyInterval)
	r.StrictHostKeyChecking = StrictAsk
	switch text := r.text(opStrictHostKeyChecking); text {
	case "":
	case "true":
		r.StrictHostKeyChecking = StrictYes
	case "false":
		r.StrictHostKeyChecking = StrictNo
	default:
		r.StrictHostKeyChecking = Strictness(text)
	}
}

func (r *Resolved) fillIdentities() error {
	var err error
	r.DefaultIdentities = len(r.values.identities) == 0
	if r.IdentityFiles, err = r.paths(r.values.identities); err != nil {
		return err
	}
	if r.CertificateFiles, err = r.paths(r.values.certificates); err != nil {
		return err
	}
	path, err := r.path(r.textOr(opIdentityAgent, "SSH_AUTH_SOCK"))
	if err == nil {
		r.IdentityAgent, err = agentSocket(path, r.config.local.Getenv)
	}
	if err != nil {
		return r.problem(opIdentityAgent, err)
	}
	return r.problemIf(opForwardAgentPath, r.fillForwardAgent())
}

func (r *Resolved) fillForwardAgent() error {
	socket := r.text(opForwardAgentPath)
	switch {
	case !r.flag(opForwardAgent, false):
		return nil
	case socket == "":
		r.ForwardAgent = "yes"
		return nil
	}
	path, err := r.path(socket)
	if err == nil {
		r.ForwardAgent, err = agentSocket(path, r.config.local.Getenv)
	}
	return err
}

// paths returns the files that settings name, without "none".
func (r *Resolved) paths(settings []*setting) ([]string, error) {
	var paths []string
	for _, s := range settings {
		if strings.EqualFold(s.text, "none") {
			continue
		}
		path, err := r.path(s.text)
		if err != nil {
			return nil, &Problem{*s.source, r.config.name(s.op), err}
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// path expands a tilde, tokens and environment variables in a path.
func (r *Resolved) path(s string) (string, error) {
	s, err := r.config.local.expandTilde(s)
	if err != nil {
		return "", err
	}
	return r.tokens.expand(s, tokensCommon, r.config.local.Getenv)
}

func (r *Resolved) fillTrust() error {
	var err error
	home := strings.TrimSuffix(r.config.local.Home, "/") + "/.ssh/known_hosts"
	r.UserKnownHostsFiles, err = r.hostFiles(opUserKnownHostsFile, r.path, home, home+"2")
	if err != nil {
		return err
	}
	const system = "/etc/ssh/ssh_known_hosts"
	r.GlobalKnownHostsFiles, err = r.hostFiles(opGlobalKnownHostsFile, r.config.local.expandTilde, system, system+"2")
	if err != nil {
		return err
	}
	if file := r.textNotNone(opRevokedHostKeys); file != "" {
		path, err := r.path(file)
		if err != nil {
			return r.problem(opRevokedHostKeys, err)
		}
		r.RevokedHostKeys = []string{path}
	}
	return nil
}

func (r *Resolved) hostFiles(o op, expand func(string) (string, error), standard ...string) ([]string, error) {
	s := r.values.first[o]
	if s == nil {
		return standard, nil
	}
	if strings.EqualFold(s.list[0], "none") {
		return nil, nil
	}
	paths := make([]string, 0, len(s.list))
	for _, file := range s.list {
		path, err := expand(file)
		if err != nil {
			return nil, r.problem(o, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func (r *Resolved) fillAlgorithms() error {
	for _, l := range []struct {
		field *[]string
		op    op
		id    listID
	}{
		{&r.KexAlgorithms, opKexAlgorithms, listKex},
		{&r.Ciphers, opCiphers, listCiphers},
		{&r.MACs, opMACs, listMACs},
		{&r.HostKeyAlgorithms, opHostKeyAlgorithms, listHostKey},
		{&r.PubkeyAcceptedAlgorithms, opPubkeyAcceptedAlgorithms, listPubkeyAccepted},
		{&r.CASignatureAlgorithms, opCASignatureAlgorithms, listCASignature},
	} {
		s := r.values.first[l.op]
		if s == nil {
			*l.field = r.config.algorithms[l.id]
			continue
		}
		if err, none := s.value.(error); none && !r.program {
			return r.problem(l.op, err)
		}
		*l.field = s.list
	}
	// As in ssh, adding to the list or removing from it keeps the order of known_hosts
	// (sshconnect2.c, ssh_kex2).
	s := r.values.first[opHostKeyAlgorithms]
	r.HostKeyAlgorithmsSet = s != nil && s.num == 0
	return nil
}

func (r *Resolved) fillEnv() error {
	for _, s := range r.values.sendEnv {
		// The second pass evaluates the same lines again.
		if !slices.Contains(r.SendEnv, s.text) {
			r.SendEnv = append(r.SendEnv, s.text)
		}
	}
	s := r.values.first[opSetEnv]
	if s == nil {
		return nil
	}
	r.SetEnv = slices.Clone(s.list)
	for i, text := range s.list {
		name, value, _ := strings.Cut(text, "=")
		value, err := r.tokens.expand(value, tokensCommon, r.config.local.Getenv)
		if err != nil {
			return r.problem(opSetEnv, err)
		}
		r.SetEnv[i] = name + "=" + value
	}
	return nil
}

// The following methods read single values.

func (r *Resolved) text(o op) string { return r.textOr(o, "") }

func (r *Resolved) textOr(o op, standard string) string {
	if s := r.values.first[o]; s != nil {
		return s.text
	}
	return standard
}

// textNotNone returns a value, "" for "none".
func (r *Resolved) textNotNone(o op) string {
	if text := r.text(o); !strings.EqualFold(text, "none") {
		return text
	}
	return ""
}

func (r *Resolved) flag(o op, standard bool) bool {
	if s := r.values.first[o]; s != nil {
		return s.text == "yes"
	}
	return standard
}

func (r *Resolved) num(o op, standard int64) int64 {
	if s := r.values.first[o]; s != nil {
		return s.num
	}
	return standard
}

func (r *Resolved) seconds(o op) time.Duration { return time.Duration(r.num(o, 0)) * time.Second }

func (r *Resolved) problem(o op, err error) error {
	p := &Problem{Keyword: r.config.name(o), Err: err}
	if s := r.values.first[o]; s != nil {
		p.Source = *s.source
	}
	return p
}

func (r *Resolved) problemIf(o op, err error) error {
	if err == nil {
		return nil
	}
	return r.problem(o, err)
}
