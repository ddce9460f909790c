package client

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/wire"
)

// A plan says how one connection is made: how early each step is sent.
type plan struct {
	endpoint   string
	known      bool // the endpoint is in the host cache
	kex        []string
	earlyKex   bool
	stepByStep bool // nothing before the server's version line
	earlyAuth  bool
	earlyExec  bool     // the command with the authentication
	guessExec  bool     // the command with the opening of its channel
	ciphers    []string // nil: all
	macs       []string // nil: all
	safe       bool     // ciphers and macs exclude those that need strict key exchange
	window     uint32   // of each channel, in bytes; 0: the default
	key        string   // fingerprint of the user key that was accepted
	fallback   bool     // this package is known to share no algorithm
	because    string   // why fallback is set, if the host cache says so

	// To be remembered: the day on which each step was found to fail; 0 means that it
	// was not.
	since struct{ stepByStep, lateAuth, lateExec int }
}

// Marks in hostcache.Entry.Marks. The first three carry the day on which they were
// found, as in "late-auth@20785", and expire: anybody who can cut connections can
// cause them. Whether a server has strict key exchange is learned anew from every
// exchange.
const (
	markStepByStep = "step-by-step"
	markLateAuth   = "late-auth"
	markLateExec   = "late-exec"
	markNotStrict  = "not-strict"

	clientExpress  = "express"
	clientFallback = "fallback"
)

// Days until a slower step is tried early again. The price is one more connection
// if the server has not changed. For an early command that is silently dropped it is
// an unknown outcome, so that only idempotent commands are tried, and the questions
// of resolve, collect and sweep: they are repeated. Nothing else can be tried
// instead, since servers that drop a request on a channel which they have not opened
// yet do take the opening.
const (
	recheck     = 7
	recheckExec = 28
)

// endpoint returns the name under which a target is remembered: its dialled address
// and its jump hosts.
func endpoint(t fleet.Target) string {
	name := strings.ToLower(t.Dialled()) + ":" + strconv.Itoa(int(t.Port))
	if t.Route != nil && t.Route.Via != nil {
		return endpoint(*t.Route.Via) + ">" + name
	}
	return name
}

// planFor makes the plan from the host cache (protocol.md, Policy 1 and 2).
// idempotent means that the command may be repeated.
func (d *Dialer) planFor(t ssh.Target, idempotent bool) plan {
	name := endpoint(t.Target)
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
	own := t.Settings()
	if own.Ciphers != nil {
		p.ciphers = allowed(own.Ciphers, wire.Ciphers())
	}
	if own.MACs != nil {
		p.macs = allowed(own.MACs, wire.MACs())
	}
	mayFallBack := d.opts.Fallback != nil
	// Configuration leaves nothing that this package could offer.
	none := len(p.kex) == 0 || p.ciphers != nil && len(p.ciphers) == 0
	if p.fallback = none && mayFallBack; p.fallback || !known {
		return p
	}
	if e.Client == clientFallback {
		p.fallback = mayFallBack && today()-e.Day < recheck
		p.because = "the host cache says that it shares no algorithm with shoal's own"
		return p
	}
	p.key = e.Key
	if best := firstCommon(p.kex, e.Kex); best != "" && d.opts.Pipeline != Off {
		p.kex, p.earlyKex = before(best, p.kex), true
	}
	for _, m := range e.Marks {
		p.heed(m, e.Day, idempotent && d.opts.Pipeline == Full)
	}
	return p
}

// kexFor returns the key exchange methods for a target, best first, without regard
// to the host cache.
func (d *Dialer) kexFor(t ssh.Target) []string {
	if own := t.Settings().Kex; own != nil {
		return allowed(own, wire.KexAlgorithms())
	}
	return d.kex
}

// heed applies a mark to the plan, unless it has expired. A mark without a day,
// from an earlier version, is as old as its entry. Without tryExec the mark of early
// commands does not expire.
func (p *plan) heed(mark string, seen int, tryExec bool) {
	name, digits, dated := strings.Cut(mark, "@")
	day := seen
	if n, err := strconv.Atoi(digits); dated && err == nil {
		day = n
	}
	age := today() - day
	if age < 0 { // the day is in the future
		age = recheckExec
	}
	switch {
	case name == markNotStrict:
		p.withoutStrict()
	case name == markStepByStep && age < recheck:
		p.greetFirst(day)
	case name == markLateAuth && age < recheck:
		p.waitForAuth(day)
	case name == markLateExec && (age < recheckExec || !tryExec):
		p.waitForChannel(day)
	}
}

// withoutStrict excludes the algorithms that need strict key exchange, and reports
// whether they were included.
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

// greetFirst delays all messages until the server's version line; day is when this
// was found to be necessary.
func (p *plan) greetFirst(day int) {
	p.since.stepByStep, p.stepByStep, p.earlyKex = day, true, false
}

// waitForAuth disables early authentication with this server.
func (p *plan) waitForAuth(day int) {
	p.since.lateAuth, p.earlyAuth, p.earlyExec = day, false, false
}

// waitForChannel disables early commands with this server.
func (p *plan) waitForChannel(day int) {
	p.since.lateExec, p.earlyExec, p.guessExec = day, false, false
}

func today() int { return int(time.Now().Unix() / (24 * 60 * 60)) }

// before moves the method first to the front.
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

// firstCommon returns the first of ours that is in theirs, or "".
func firstCommon(ours, theirs []string) string {
	for _, name := range ours {
		if slices.Contains(theirs, name) {
			return name
		}
	}
	return ""
}

// traits are the known properties of a server implementation, from its
// identification (protocol.md, Policy 5).
type traits struct {
	earlyAuth bool // accepts a signed request together with the service request
	earlyExec bool // accepts channel and command before it has answered that
	oneKey    bool // earlyExec, but a rejected key ends the connection
	rsa256    bool // supports rsa-sha2-256 and not rsa-sha2-512
	nagle     bool // holds small packets back before the command runs
}

func traitsOf(identification string) traits {
	_, software, _ := strings.Cut(strings.TrimPrefix(identification, "SSH-"), "-")
	switch {
	case strings.HasPrefix(software, "OpenSSH_for_Windows"):
		// Its sessions are not those of OpenSSH elsewhere, and nobody has tried them here: a command that is
		// lost would leave the outcome unknown.
		return traits{earlyAuth: true, nagle: true}
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

// leadingNumber returns the 9.2 of "9.2p1 Debian".
func leadingNumber(s string) string {
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		return s
	}
	return s[:end]
}

// applyTraits restricts the plan to what the identified server supports. An unknown
// implementation is tried with early authentication from the second connection on:
// if it fails, nothing has run.
func (p *plan) applyTraits(identification string) traits {
	t := traitsOf(identification)
	p.earlyAuth = p.earlyAuth && (t.earlyAuth || p.known)
	p.earlyExec = p.earlyExec && p.earlyAuth && t.earlyExec
	p.guessExec = p.guessExec && t.earlyExec
	return t
}

// marks returns the marks to remember; strict means that the server supports strict
// key exchange.
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

// dated returns a mark with its day.
func dated(mark string, day int) string { return mark + "@" + strconv.Itoa(day) }

// A serverInfo is what a server has told about itself.
type serverInfo struct {
	identification string
	traits         traits
	kex, hostKeys  []string
	inOrder        bool // no packet can have been removed unnoticed (CVE-2023-48795)
	strict         bool // it supports strict key exchange
}

// learn stores a server that has authenticated us in the host cache.
func (d *Dialer) learn(t ssh.Target, p *plan, s *serverInfo, accepted []byte) {
	before, _ := d.opts.Memory.Get(p.endpoint)
	words, _ := notes(before.Marks)
	e := hostcache.Entry{
		Identification: software(s.identification),
		Kex:            common(d.kex, s.kex),
		HostKeys:       common(wire.HostKeyAlgorithms(), s.hostKeys),
		User:           t.User,
		Client:         clientExpress,
		Marks:          append(p.marks(s.strict), words...),
	}
	if accepted != nil {
		e.Key = d.fingerprint(accepted)
	}
	d.opts.Memory.Put(p.endpoint, e)
}

// software returns an identification without its comment (RFC 4253 §4.2), which
// some servers change each time.
func software(identification string) string {
	s, _, _ := strings.Cut(identification, " ")
	return s
}

// waitNextTime remembers that sending a command before its channel was open failed.
func (d *Dialer) waitNextTime(t ssh.Target) {
	name := endpoint(t.Target)
	e, known := d.opts.Memory.Get(name)
	if !known {
		return
	}
	// Get's lists are shared.
	e.Marks = slices.DeleteFunc(slices.Clone(e.Marks), func(m string) bool { return strings.HasPrefix(m, markLateExec) })
	e.Marks = append(e.Marks, dated(markLateExec, today()))
	d.opts.Memory.Put(name, e)
}

// laterFailed remembers that a command was not taken together with the opening of a channel that
// is not the first: no harm to first ones, and forgotten with the Dialer.
func (d *Dialer) laterFailed(t ssh.Target) { d.late.Store(endpoint(t.Target), nil) }

func (d *Dialer) laterFails(t ssh.Target) bool {
	_, fails := d.late.Load(endpoint(t.Target))
	return fails
}

// allowed returns what of all is in chosen, which is not nil: an empty list offers
// nothing, nil everything.
func allowed(chosen, all []string) []string { return append([]string{}, common(chosen, all)...) }

// common returns those of ours that are in theirs, in our order; nil if there are
// none. It may return ours itself.
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
