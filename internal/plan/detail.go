package plan

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/internal/ssh/auth"
	"shoal/internal/ssh/config"
	"shoal/internal/ssh/hostkeys"
)

// A detail is what packages auth and hostkeys need to know about a target. Equal details
// are shared.
type detail struct {
	want        auth.KeySpec
	files       []string
	revoked     []string
	authorities []string // signature algorithms of host certificates; nil: all
	policy      hostkeys.Policy
	rsaBits     int
	hashed      bool
	password    bool
	number      int // distinguishes different details
}

// detail returns the settings for keys and host keys.
func (p *Planner) detail(r *config.Resolved, e hosts.Entry) *detail {
	d := detail{
		want:     p.want(r, e),
		files:    p.opts.KnownHosts,
		revoked:  r.RevokedHostKeys,
		policy:   p.policy(r),
		rsaBits:  r.RequiredRSASize,
		hashed:   r.HashKnownHosts,
		password: r.PasswordAuthentication || r.KbdInteractiveAuthentication,
	}
	if r.Why("casignaturealgorithms") != (config.Source{}) {
		d.authorities = r.CASignatureAlgorithms
	}
	if d.files == nil {
		d.files = slices.Concat(r.UserKnownHostsFiles, r.GlobalKnownHostsFiles)
	}
	return &d
}

// want returns the keys to offer: first those of the command line, then the inventory's,
// then those of ssh_config.
func (p *Planner) want(r *config.Resolved, e hosts.Entry) auth.KeySpec {
	if !r.PubkeyAuthentication {
		return auth.KeySpec{}
	}
	w := auth.KeySpec{
		Files:        slices.Clone(p.opts.Identities),
		Certificates: r.CertificateFiles,
		AgentSocket:  r.IdentityAgent,
		Only:         r.IdentitiesOnly,
		NoPassphrase: r.BatchMode,
		SHA1:         userKeysSHA1(r),
	}
	if e.IdentityFile != "" {
		w.Files = append(w.Files, p.expand(e.IdentityFile))
	}
	w.Defaults = len(w.Files) == 0 && r.DefaultIdentities
	if !r.DefaultIdentities {
		w.Files = append(w.Files, r.IdentityFiles...)
	}
	switch p.opts.Agent {
	case "":
	case NoAgent:
		w.AgentSocket = ""
	default:
		w.AgentSocket = p.opts.Agent
	}
	return w
}

// userKeysSHA1 reports whether ssh_config names ssh-rsa for user keys.
func userKeysSHA1(r *config.Resolved) bool {
	return r.Why("pubkeyacceptedalgorithms") != (config.Source{}) && slices.Contains(r.PubkeyAcceptedAlgorithms, "ssh-rsa")
}

func (p *Planner) expand(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok && p.opts.Home != "" {
		return filepath.Join(p.opts.Home, rest)
	}
	return path
}

// policy returns how an unknown host key is treated. ssh_config can relax it to accept-new
// but no further: no one is there to answer a question, and "no" would trust any host.
func (p *Planner) policy(r *config.Resolved) hostkeys.Policy {
	if p.opts.Policy != hostkeys.Strict {
		return p.opts.Policy
	}
	switch r.StrictHostKeyChecking {
	case config.StrictAcceptNew:
		return hostkeys.AcceptNew
	case config.StrictNo:
		p.tell(fmt.Sprintf("StrictHostKeyChecking no (%v) is taken as accept-new; --host-key insecure would accept anybody",
			r.Why("stricthostkeychecking")))
		return hostkeys.AcceptNew
	}
	return hostkeys.Strict
}

// tell passes each notice on once.
func (p *Planner) tell(text string) { p.tellOnce(text, text) }

// tellOnce passes the first notice about a subject on.
func (p *Planner) tellOnce(subject, text string) {
	p.mu.Lock()
	known := p.told[subject]
	p.told[subject] = true
	p.mu.Unlock()
	if !known && p.opts.Notice != nil {
		p.opts.Notice(text)
	}
}

var errUnplanned = errors.New("the target was not planned: see plan.Planner")

func detailOf(t fleet.Target) (*detail, error) {
	if t.Route != nil {
		if d, ok := t.Route.Detail.(*detail); ok {
			return d, nil
		}
	}
	return nil, errUnplanned
}

// Want returns the keys to offer to a planned target. It is for auth.Router.
func Want(t fleet.Target) (auth.KeySpec, error) {
	d, err := detailOf(t)
	if err != nil {
		return auth.KeySpec{}, err
	}
	return d.want, nil
}

// Trust sets the options for verifying a planned target's host key. It is for
// hostkeys.NewRouter.
func Trust(t fleet.Target, o *hostkeys.Options) error {
	d, err := detailOf(t)
	if err != nil {
		return err
	}
	o.Files, o.Revoked, o.Policy = d.files, d.revoked, d.policy
	o.RSABits, o.HashNames, o.CASignatures = d.rsaBits, d.hashed, d.authorities
	return nil
}

// Alias returns the name of a planned target in known_hosts. It is for hostkeys.Options.
func Alias(t fleet.Target) string {
	if t.Route == nil {
		return ""
	}
	return t.Route.HostKeyAlias
}

// TakesPassword reports whether a password may be sent to a planned target.
func TakesPassword(t fleet.Target) bool {
	d, err := detailOf(t)
	return err == nil && d.password
}
