package plan

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"shoal/hosts"
	"shoal/internal/hint"
	"shoal/internal/plainfile"
	"shoal/internal/ssh"
	"shoal/internal/ssh/config"
)

// settingsOf returns what ssh_config and the options say about connections.
func (p *Planner) settingsOf(r *config.Resolved, e hosts.Entry, methods []string, program Program) *ssh.Settings {
	if p.opts.Plain && r.RekeyInterval > 0 {
		p.tellOnce("rekeylimit", fmt.Sprintf("the time of RekeyLimit (%v) has no effect with this client", r.Why("rekeylimit")))
	}
	s := &ssh.Settings{
		Family:        family(r.AddressFamily),
		Bind:          r.BindAddress,
		BindInterface: r.BindInterface,
		Connect:       r.ConnectTimeout,
		Attempts:      r.ConnectionAttempts,
		KeepAlive:     r.TCPKeepAlive && r.Why("tcpkeepalive") != (config.Source{}),
		Alive:         r.ServerAliveInterval,
		AliveMax:      aliveMax(r),
		Kex:           changed(r.KexAlgorithms, p.standard.Kex),
		Ciphers:       changed(r.Ciphers, p.standard.Ciphers),
		MACs:          changed(r.MACs, p.standard.MACs),
		HostKeys:      changed(r.HostKeyAlgorithms, p.standard.HostKeys),
		HostKeysFixed: r.HostKeyAlgorithmsSet,
		Methods:       methods,
		RekeyBytes:    uint64(max(r.RekeyBytes, 0)),
		RekeyAfter:    r.RekeyInterval,
		Env:           r.Env(),
		EnvSet:        len(r.SetEnv),
		Agent:         p.agent(r),
		PTY:           p.opts.PTY == PTYForAll || p.opts.PTY == PTYAsConfigured && r.RequestTTY,
		Keys:          p.keys(r, e, program),
		Known:         p.known(r),
		Password:      r.PasswordAuthentication || r.KbdInteractiveAuthentication,
	}
	if program != NoProgram {
		own, notice := r.Program()
		if own.ControlPath != "" && (p.opts.KnownHosts != nil || p.opts.Policy != nil) {
			own.ControlPath = ""
			notice = fmt.Sprintf("ControlPath (%v) has no effect with host keys that this run checks by its own rules: "+
				"an open connection was checked by whoever opened it", r.Why("controlpath"))
		}
		if s.Program = ssh.ProgramSpec(own); notice != "" && program == ProgramForAll {
			p.tellOnce("controlpath", notice)
		}
		if own.KnownHostsCommand && s.Known.Policy == ssh.HostKeysAcceptNew {
			s.Known.Policy = ssh.HostKeysStrict
			p.tellOnce("knownhostscommand", fmt.Sprintf("with KnownHostsCommand (%v) new hosts are not learned: the command must know them",
				r.Why("knownhostscommand")))
		}
	}
	if r.Why("pubkeyacceptedalgorithms") != (config.Source{}) {
		s.UserKeys = r.PubkeyAcceptedAlgorithms
	}
	return p.shareSettings(s)
}

// aliveMax returns ServerAliveCountMax as ssh.Settings has it; 0 if nothing sets it.
func aliveMax(r *config.Resolved) int {
	switch {
	case r.Why("serveralivecountmax") == (config.Source{}):
		return 0
	case r.ServerAliveCountMax == 0:
		return -1
	}
	return r.ServerAliveCountMax
}

func family(s string) string {
	switch s {
	case "inet":
		return "tcp4"
	case "inet6":
		return "tcp6"
	}
	return ""
}

// changed returns the list if it differs from the default, otherwise nil.
func changed(list, standard []string) []string {
	if slices.Equal(list, standard) {
		return nil
	}
	return append([]string{}, list...) // not nil, even if it is empty
}

// unusable returns an error that names the list that has no usable algorithm.
func unusable(s *ssh.Settings) error {
	for _, l := range []struct {
		keyword string
		names   []string
	}{
		{"KexAlgorithms", s.Kex},
		{"Ciphers", s.Ciphers},
		{"MACs", s.MACs},
		{"HostKeyAlgorithms", s.HostKeys},
	} {
		if l.names != nil && len(l.names) == 0 {
			return hint.Wrap(fmt.Errorf("%s of ssh_config names none that shoal has", l.keyword),
				"add one, leave the keyword out, or use --client ssh")
		}
	}
	return nil
}

// known returns how the host key is checked.
func (p *Planner) known(r *config.Resolved) ssh.HostKeySpec {
	k := ssh.HostKeySpec{
		Files: p.opts.KnownHosts, Revoked: r.RevokedHostKeys, Policy: p.policy(r),
		RSABits: r.RequiredRSASize, HashNames: r.HashKnownHosts,
	}
	if r.Why("casignaturealgorithms") != (config.Source{}) {
		k.CASignatures = r.CASignatureAlgorithms
	}
	if k.Files == nil {
		k.Files = slices.Concat(r.UserKnownHostsFiles, r.GlobalKnownHostsFiles)
	}
	return k
}

// agent returns the agent that programs on the host may use.
func (p *Planner) agent(r *config.Resolved) ssh.AgentSpec {
	a := ssh.AgentSpec{Socket: p.opts.ForwardAgent}
	switch p.opts.ForwardAgent {
	case "", "no":
		return ssh.AgentSpec{}
	case "config":
		a.Socket = r.ForwardAgent
	default:
		a.Required = true
	}
	if a.Socket == "yes" {
		if a.Socket = p.agentSocket(r); a.Socket == "" && !a.Required {
			p.tellOnce("forwardagent", fmt.Sprintf("ForwardAgent (%v) has no effect: there is no agent", r.Why("forwardagent")))
		}
	}
	return a
}

// agentSocket returns the socket of the agent whose keys are offered, or "".
func (p *Planner) agentSocket(r *config.Resolved) string {
	switch p.opts.Agent {
	case "":
		return r.IdentityAgent
	case NoAgent:
		return ""
	}
	return p.opts.Agent
}

// keys returns the keys to offer: first those of the command line, then the inventory's,
// then those of ssh_config.
func (p *Planner) keys(r *config.Resolved, e hosts.Entry, program Program) ssh.KeySpec {
	if !r.PubkeyAuthentication {
		return ssh.KeySpec{}
	}
	w := ssh.KeySpec{
		Files:        slices.Clone(p.opts.Identities),
		Certificates: r.CertificateFiles,
		AgentSocket:  p.agentSocket(r),
		Only:         r.IdentitiesOnly,
		NoPassphrase: r.BatchMode,
		RSABits:      r.RequiredRSASize,
		SHA1:         userKeysSHA1(r),
	}
	if e.IdentityFile != "" {
		w.Files = append(w.Files, p.expand(e.IdentityFile))
	}
	w.Defaults = len(w.Files) == 0 && r.DefaultIdentities
	if !r.DefaultIdentities {
		w.Files = append(w.Files, r.IdentityFiles...)
	}
	if program == ProgramForAll {
		w.Hardware = slices.DeleteFunc(slices.Clone(w.Files), func(path string) bool { return !isHardware(path) })
		w.Files = slices.DeleteFunc(w.Files, isHardware)
	}
	return w
}

// isHardware reports whether a key file is that of a security key, as its public key says.
func isHardware(path string) bool {
	file, err := plainfile.Open(path + ".pub")
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	head := make([]byte, 3)
	_, err = io.ReadFull(file, head)
	return err == nil && string(head) == "sk-"
}

// userKeysSHA1 reports whether ssh_config names ssh-rsa for user keys.
func userKeysSHA1(r *config.Resolved) bool {
	return r.Why("pubkeyacceptedalgorithms") != (config.Source{}) && slices.Contains(r.PubkeyAcceptedAlgorithms, "ssh-rsa")
}

// wayOf says for people how a target is reached, and which lines of ssh_config say so;
// why may be nil.
func wayOf(t ssh.Target, why *config.Resolved) string {
	if err := t.Err(); err != nil {
		return "not tried: " + ssh.Brief(err)
	}
	text := fmt.Sprintf("%s@%s", t.User, t.Address())
	switch via := t.Route.Via; {
	case via != nil:
		for ; via != nil; via = via.Route.Via {
			text += fmt.Sprintf(", through %s@%s", via.User, via.Address())
			if via.Route == nil {
				break
			}
		}
	case len(t.Route.ProxyCommand) > 0:
		text += fmt.Sprintf(", through the command %.200q", t.Route.ProxyCommand)
	}
	var from []string
	for _, keyword := range []string{"HostName", "User", "Port", "ProxyJump", "ProxyCommand", "HostKeyAlias", "IdentityFile"} {
		if why == nil {
			break
		}
		if source := why.Why(keyword); source.Line > 0 {
			from = append(from, keyword+" of "+source.String())
		}
	}
	if len(from) > 0 {
		text += "; " + strings.Join(from, ", ")
	}
	return text
}

func (p *Planner) expand(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok && p.opts.Home != "" {
		return filepath.Join(p.opts.Home, rest)
	}
	return path
}

// policy returns how an unknown host key is treated. ssh_config can relax it to accept-new
// but no further: no one is there to answer a question, and "no" would trust any host.
func (p *Planner) policy(r *config.Resolved) ssh.HostKeyPolicy {
	if p.opts.Policy != nil {
		return *p.opts.Policy
	}
	switch r.StrictHostKeyChecking {
	case config.StrictAcceptNew:
		return ssh.HostKeysAcceptNew
	case config.StrictNo:
		p.tell(fmt.Sprintf("StrictHostKeyChecking no (%v) is taken as accept-new; --host-key insecure would accept anybody",
			r.Why("stricthostkeychecking")))
		return ssh.HostKeysAcceptNew
	}
	return ssh.HostKeysStrict
}

// tell passes each notice on once.
func (p *Planner) tell(text string) { p.tellOnce(text, text) }

// tellOnce passes the first notice about a subject on.
func (p *Planner) tellOnce(subject, text string) {
	if p.first(subject) && p.opts.Notice != nil {
		p.opts.Notice(text)
	}
}

// first reports whether this is the first call for a subject.
func (p *Planner) first(subject string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.told[subject]
	p.told[subject] = true
	return !known
}

// tellTrust tells what has no effect on how the key of a jump host is checked.
func (p *Planner) tellTrust(r *config.Resolved) {
	for _, n := range r.Trust() {
		p.tellOnce(n.Keyword, n.Text)
	}
}
