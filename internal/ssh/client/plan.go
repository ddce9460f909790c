package client

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/wire"
)

// A plan is how one connection is to be made: how early each step is taken.
type plan struct {
	endpoint   string
	known      bool // the endpoint is remembered
	kex        []string
	earlyKex   bool
	stepByStep bool // nothing before the server's version line
	earlyAuth  bool
	earlyExec  bool     // the command with the authentication
	guessExec  bool     // the command with the opening of its channel
	ciphers    []string // nil: all
	macs       []string // nil: all
	safe       bool     // ciphers and macs lack what needs strict key exchange
	window     uint32   // of each channel, in bytes; 0: the default
	key        string   // fingerprint of the key that was accepted
	fallback   bool     // this package is known not to do

	// To be remembered: the days on which it was found that a step did no good; 0
	// means that it was not.
	since struct{ stepByStep, lateAuth, lateExec int }
}

// Marks in hostcache.Entry.Marks. The first three stand with the day on which they
// were found, as in "late-auth@20785": whoever cuts connections can bring them
// about, so that they hold for a while only. A server without strict key exchange
// is known by every exchange with it anew.
const (
	markStepByStep = "step-by-step"
	markLateAuth   = "late-auth"
	markLateExec   = "late-exec"
	markNotStrict  = "not-strict"

	clientExpress  = "express"
	clientFallback = "fallback"
)

// Days until what makes a connection slower is tried without again: a dial more
// for a server that has not changed, and for an early command that is dropped
// without a word an outcome that nobody knows.
const (
	recheck     = 7
	recheckExec = 28
)

// endpoint is the name under which a target is remembered: where it is dialled,
// and from which jump host.
func endpoint(t fleet.Target) string {
	name := strings.ToLower(t.Dialled()) + ":" + strconv.Itoa(int(t.Port))
	if t.Route != nil && t.Route.Via != nil {
		return endpoint(*t.Route.Via) + ">" + name
	}
	return name
}

// planFor makes the plan from what is remembered (protocol.md, Policy 1 and 2).
func (d *Dialer) planFor(t fleet.Target) plan {
	name := endpoint(t)
	e, known := d.opts.Memory.Get(name)
	p := plan{
		endpoint:  name,
		known:     known,
		kex:       d.kexFor(t),
		earlyKex:  d.opts.Pipeline != Off && d.opts.Classical,
		earlyAuth: d.opts.Pipeline != Off,
		earlyExec: d.opts.Pipeline == Full && known,
		guessExec: d.opts.Pipeline == Full,
	}
	if r := t.Route; r != nil && r.Ciphers != nil {
		p.ciphers = allowed(r.Ciphers, wire.Ciphers())
	}
	if r := t.Route; r != nil && r.MACs != nil {
		p.macs = allowed(r.MACs, wire.MACs())
	}
	if !known {
		return p
	}
	if e.Client == clientFallback {
		p.fallback = d.mayFallBack(t) && today()-e.Day < recheck
		return p
	}
	p.key = e.Key
	if best := firstCommon(p.kex, e.Kex); best != "" && d.opts.Pipeline != Off {
		p.kex, p.earlyKex = before(best, p.kex), true
	}
	for _, m := range e.Marks {
		p.heed(m, e.Day)
	}
	if p.safe {
		p.ciphers, p.macs = d.shared(p.ciphers), d.shared(p.macs)
	}
	return p
}

// kexFor gives the key exchange methods for a target, best first, whatever is
// remembered of it.
func (d *Dialer) kexFor(t fleet.Target) []string {
	if t.Route != nil && t.Route.Kex != nil {
		return allowed(t.Route.Kex, wire.KexAlgorithms())
	}
	return d.kex
}

// heed fits the plan to a mark, unless it is due to be looked at anew. One without
// a day, as earlier versions wrote it, is as old as what is known of the host.
func (p *plan) heed(mark string, seen int) {
	name, digits, dated := strings.Cut(mark, "@")
	day := seen
	if n, err := strconv.Atoi(digits); dated && err == nil {
		day = n
	}
	age := today() - day
	if age < 0 { // it has not come yet
		age = recheckExec
	}
	switch {
	case name == markNotStrict:
		p.withoutStrict()
	case name == markStepByStep && age < recheck:
		p.greetFirst(day)
	case name == markLateAuth && age < recheck:
		p.waitForAuth(day)
	case name == markLateExec && age < recheckExec:
		p.waitForChannel(day)
	}
}

// withoutStrict leaves out what needs strict key exchange, and reports whether that
// was offered.
func (p *plan) withoutStrict() bool {
	if p.safe {
		return false
	}
	if p.ciphers == nil {
		p.ciphers = wire.Ciphers()
	}
	if p.macs == nil {
		p.macs = wire.MACs()
	}
	p.safe, p.ciphers, p.macs = true, wire.WithoutStrict(p.ciphers), wire.WithoutStrict(p.macs)
	return true
}

// greetFirst sends nothing before this server has greeted, as was found on a day.
func (p *plan) greetFirst(day int) {
	p.since.stepByStep, p.stepByStep, p.earlyKex = day, true, false
}

// waitForAuth gives up early authentication with this server.
func (p *plan) waitForAuth(day int) {
	p.since.lateAuth, p.earlyAuth, p.earlyExec = day, false, false
}

// waitForChannel gives up early commands with this server.
func (p *plan) waitForChannel(day int) {
	p.since.lateExec, p.earlyExec, p.guessExec = day, false, false
}

func today() int { return int(time.Now().Unix() / (24 * 60 * 60)) }

// before puts one method in front of the others.
func before(first string, methods []string) []string {
	if len(methods) > 0 && methods[0] == first {
		return methods
	}
	list := make([]string, 1, len(methods))
	list[0] = first
	for _, m := range methods {
		if m != first {
			list = append(list, m)
		}
	}
	return list
}

// firstCommon is the first of ours that is among theirs.
func firstCommon(ours, theirs []string) string {
	for _, name := range ours {
		if slices.Contains(theirs, name) {
			return name
		}
	}
	return ""
}

// traits are what is known of a kind of server by its identification
// (protocol.md, Policy 5).
type traits struct {
	earlyAuth bool // takes a signed request with the service request
	earlyExec bool // takes channel and command before it has answered that
	oneKey    bool // earlyExec, but a rejected key ends the connection
	rsa256    bool // knows rsa-sha2-256 and not rsa-sha2-512
	nagle     bool // holds small packets back before the command runs
}

func traitsOf(identification string) traits {
	_, software, _ := strings.Cut(strings.TrimPrefix(identification, "SSH-"), "-")
	switch {
	case strings.HasPrefix(software, "OpenSSH_"):
		version, err := strconv.ParseFloat(leadingNumber(software[len("OpenSSH_"):]), 64)
		return traits{earlyAuth: true, earlyExec: true, nagle: err != nil || version < 10.1}
	case strings.HasPrefix(software, "dropbear_"):
		return traits{earlyAuth: true, earlyExec: true, oneKey: true, rsa256: true}
	case software == "Go" || strings.HasPrefix(software, "Go "), strings.HasPrefix(software, "AsyncSSH_"):
		return traits{earlyAuth: true}
	}
	return traits{}
}

// leadingNumber is the 9.2 of "9.2p1 Debian".
func leadingNumber(s string) string {
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		return s
	}
	return s[:end]
}

// applyTraits fits the plan to the server that has identified itself. An unknown kind
// is tried with early authentication from the second time on: if it does not
// like that, nothing has run.
func (p *plan) applyTraits(identification string) traits {
	t := traitsOf(identification)
	p.earlyAuth = p.earlyAuth && (t.earlyAuth || p.known)
	p.earlyExec = p.earlyExec && p.earlyAuth && t.earlyExec
	p.guessExec = p.guessExec && t.earlyExec
	return t
}

// marks is what the next plan has to know, of a server with strict key exchange or
// without.
func (p *plan) marks(strict bool) []string {
	var marks []string
	add := func(name string, day int) {
		if day > 0 {
			marks = append(marks, dated(name, day))
		}
	}
	add(markStepByStep, p.since.stepByStep)
	add(markLateAuth, p.since.lateAuth)
	add(markLateExec, p.since.lateExec)
	if !strict {
		marks = append(marks, markNotStrict)
	}
	return marks
}

// dated writes a mark with its day.
func dated(mark string, day int) string { return mark + "@" + strconv.Itoa(day) }

// A serverInfo is what a server has told of itself.
type serverInfo struct {
	identification string
	traits         traits
	kex, hostKeys  []string
	inOrder        bool // no packet of its own can have been cut out unnoticed (CVE-2023-48795)
	strict         bool // it keeps to strict key exchange
}

// learn remembers a server that has let us in.
func (d *Dialer) learn(t fleet.Target, p *plan, s *serverInfo, accepted []byte) {
	e := hostcache.Entry{
		Identification: software(s.identification),
		Kex:            common(d.kex, s.kex),
		HostKeys:       common(wire.HostKeyAlgorithms(), s.hostKeys),
		User:           t.User,
		Client:         clientExpress,
		Marks:          p.marks(s.strict),
	}
	if accepted != nil {
		e.Key = d.fingerprint(accepted)
	}
	d.opts.Memory.Put(p.endpoint, e)
}

// software is an identification without its comment (RFC 4253 §4.2), which some
// servers change each time.
func software(identification string) string {
	s, _, _ := strings.Cut(identification, " ")
	return s
}

// waitNextTime remembers that a command which left before its channel was open
// did no good.
func (d *Dialer) waitNextTime(t fleet.Target) {
	e, known := d.opts.Memory.Get(endpoint(t))
	if !known {
		return
	}
	// Get's lists are shared.
	e.Marks = slices.DeleteFunc(slices.Clone(e.Marks), func(m string) bool { return strings.HasPrefix(m, markLateExec) })
	e.Marks = append(e.Marks, dated(markLateExec, today()))
	d.opts.Memory.Put(endpoint(t), e)
}

// allowed is what a route allows of all that there is. None of it is an empty
// list, which offers nothing, and not nil, which offers everything.
func allowed(chosen, all []string) []string { return append([]string{}, common(chosen, all)...) }

// common is what of ours is among theirs, in our order; nil where that is
// nothing. It may be ours itself.
func common(ours, theirs []string) []string {
	lacking := func(name string) bool { return !slices.Contains(theirs, name) }
	if len(ours) > 0 && !slices.ContainsFunc(ours, lacking) {
		return ours
	}
	var both []string
	for _, name := range ours {
		if !lacking(name) {
			both = append(both, name)
		}
	}
	return both
}
