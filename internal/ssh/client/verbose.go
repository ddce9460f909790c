package client

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/internal/ssh"
	"shoal/internal/ssh/wire"
)

// tellPlan tells which client is used and what the host cache has.
func (d *Dialer) tellPlan(a *ssh.Attempt, p *plan) {
	if a.Verbose == nil {
		return
	}
	if p.fallback {
		a.Tell("client: golang.org/x/crypto/ssh, because %s", cmp.Or(p.because, "ssh_config leaves no algorithm of shoal's own"))
		return
	}
	e, known := d.opts.Memory.Get(p.endpoint)
	if !known {
		a.Tell("client: shoal's own; the host cache does not have %s", p.endpoint)
		return
	}
	text := fmt.Sprintf("client: shoal's own; host cache: %.100q, seen %s", e.Identification, dateOf(e.Day))
	if e.Key != "" {
		text += ", takes the key " + e.Key
	}
	_, marks := notes(e.Marks)
	for _, mark := range marks {
		text += "; " + markText(mark)
	}
	a.Tell("%s", text)
}

func dateOf(day int) string {
	return time.Unix(int64(day)*24*60*60, 0).UTC().Format(time.DateOnly)
}

// markText says for people what a mark of the host cache means.
func markText(mark string) string {
	name, digits, dated := strings.Cut(mark, "@")
	text := name
	switch name {
	case markStepByStep:
		text = "takes nothing before it has sent its version"
	case markLateAuth:
		text = "takes no authentication ahead"
	case markLateExec:
		text = "takes no command ahead"
	case markNotStrict:
		text = "has no strict key exchange"
	}
	if day, err := strconv.Atoi(digits); dated && err == nil {
		text += " (found " + dateOf(day) + ")"
	}
	return text
}

// tellNegotiated tells what was agreed, and what is sent ahead of the server's answers.
func (h *handshake) tellNegotiated(ev *wire.Negotiated) {
	if h.attempt.Verbose == nil {
		return
	}
	var ahead []string
	for _, step := range []struct {
		early bool
		name  string
	}{{h.plan.earlyKex, "key exchange"}, {h.plan.earlyAuth, "authentication"}, {h.plan.earlyExec, "command"}} {
		if step.early {
			ahead = append(ahead, step.name)
		}
	}
	ciphers := ev.CipherOut
	if ev.CipherIn != ev.CipherOut {
		ciphers += " and " + ev.CipherIn
	}
	strict := "strict"
	if !ev.Strict {
		strict = "not strict"
	}
	h.attempt.Tell("key exchange %s (%s), host key %s, cipher %s; sent ahead of answers: %s",
		ev.Kex, strict, ev.HostKey, ciphers, cmp.Or(strings.Join(ahead, ", "), "nothing"))
}

// tellKey tells that a key is offered.
func (l *login) tellKey(k *candidate, algorithm, how string) {
	if a := l.handshake.attempt; a.Verbose != nil {
		a.Tell("%s %s, signed as %s", how, ssh.KeyName(k.signer), algorithm)
	}
}

// tellLetIn tells with what the server has let us in.
func (l *login) tellLetIn() {
	a := l.handshake.attempt
	if a.Verbose == nil {
		return
	}
	with := "the password"
	switch {
	case l.accepted != nil:
		public := l.keys[l.next-1].signer.PublicKey()
		with = public.Type() + " " + xssh.FingerprintSHA256(public)
	case l.password == passwordUnused:
		with = "nothing"
	}
	a.Tell("user %q is let in with %s", a.Target.User, with)
}
