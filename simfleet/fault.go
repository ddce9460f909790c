package simfleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"shoal/fleet"
	"shoal/internal/ssh/wire"
	"shoal/simfleet/internal/shell"
)

// A Fault is one thing that a host does wrong. Its text is the one on the
// command line; + joins several.
type Fault string

// The faults, in the order of the phases; the letters are the catalogue's
// (faults.md). The zero value is a good host.
const (
	FaultNone Fault = ""

	FaultReset             Fault = "reset"               // T01
	FaultSilent            Fault = "silent"              // T04
	FaultSlowBanner        Fault = "slow-banner"         // T05
	FaultEndlessBanner     Fault = "endless-banner"      // T06
	FaultNotSSH            Fault = "not-ssh"             // T07
	FaultThrottle          Fault = "throttle"            // T08
	FaultThrottleOld       Fault = "throttle-old"        // T08
	FaultCloseAfterVersion Fault = "close-after-version" // T09

	FaultCloseAfterKexinit Fault = "close-after-kexinit" // T09
	FaultStallKex          Fault = "stall-kex"           // K09
	FaultNoCommonAlgorithm Fault = "no-common-algorithm" // K07
	FaultWrongHostkey      Fault = "wrong-hostkey"       // K13

	FaultAuthRefused     Fault = "auth-refused"
	FaultAuthStall       Fault = "auth-stall"        // A01
	FaultAuthBannerFlood Fault = "auth-banner-flood" // A02

	FaultSessionStall   Fault = "session-stall"   // S01
	FaultSessionRefused Fault = "session-refused" // S02
	FaultExecRefused    Fault = "exec-refused"    // S03
	FaultExecStall      Fault = "exec-stall"      // S04

	FaultEndlessOutput Fault = "endless-output"  // S08
	FaultEscapes       Fault = "escapes"         // S11
	FaultDropMidOutput Fault = "drop-mid-output" // S17
	FaultRequestFlood  Fault = "request-flood"   // S14, S18
	FaultOpenFlood     Fault = "open-flood"      // S19

	FaultNoExitStatus  Fault = "no-exit-status"  // S12
	FaultExitSignal    Fault = "exit-signal"     // S13
	FaultNoClose       Fault = "no-close"        // S15
	FaultDropAfterExit Fault = "drop-after-exit" // S17
)

// The faults of files.
const (
	FaultDiskFull         Fault = "disk-full"
	FaultPermissionDenied Fault = "permission-denied"
	FaultReadOnly         Fault = "read-only"
	FaultQuota            Fault = "quota"
	FaultNoRename         Fault = "no-rename"
	FaultShortWrite       Fault = "short-write"
	FaultSlowFiles        Fault = "slow-files"
	FaultDropMidTransfer  Fault = "drop-mid-transfer"
	FaultNoSFTP           Fault = "no-sftp"
	FaultSFTPCloses       Fault = "sftp-closes"
	FaultSFTPOnly         Fault = "sftp-only"
	FaultNoisyLogin       Fault = "noisy-login"
)

// Doc says in one sentence what the host does.
func (f Fault) Doc() string { return f.behaviour().doc }

// behaviour is that of a good host for an unknown fault.
func (f Fault) behaviour() behaviour {
	b, err := f.compose()
	if err != nil {
		return behaviour{}
	}
	return b
}

// lookUp returns the behaviour of a single fault.
func (f Fault) lookUp() (behaviour, bool) {
	for _, table := range append(tables(), systems, fileFaults) {
		if b, ok := table[f]; ok {
			return b, true
		}
	}
	return behaviour{}, false
}

// tables are those of the faults of the protocol.
func tables() []map[Fault]behaviour {
	return []map[Fault]behaviour{behaviours, byteFaults, loginFaults, commandFaults}
}

// compose returns the behaviour of one fault, or of several with + between them.
func (f Fault) compose() (behaviour, error) {
	var whole behaviour
	for part := range strings.SplitSeq(string(f), "+") {
		b, ok := Fault(part).lookUp()
		if !ok {
			return behaviour{}, fmt.Errorf("unknown fault %.40q", part)
		}
		if err := whole.add(b); err != nil {
			return behaviour{}, fmt.Errorf("the faults of %.80q do not go together: %w", string(f), err)
		}
	}
	return whole, nil
}

// ParseFault reads a fault's text, or several with + between them; "" is FaultNone.
func ParseFault(s string) (Fault, error) {
	if _, err := Fault(s).compose(); err != nil {
		return FaultNone, err
	}
	return Fault(s), nil
}

// Faults lists every fault of the protocol but FaultNone, sorted.
func Faults() []Fault {
	var all []Fault
	for _, table := range tables() {
		all = slices.AppendSeq(all, maps.Keys(table))
	}
	slices.Sort(all)
	return all[1:]
}

// FileFaults lists the faults of files, sorted.
func FileFaults() []Fault {
	return slices.Sorted(maps.Keys(fileFaults))
}

// A behaviour replaces what a good host does in one phase; nil leaves it. Each
// phase has a file with the behaviours that belong to it.
type behaviour struct {
	doc string
	// expect is what a client may report.
	expect Expectation
	// raw is the whole connection, up to its close, without SSH behind it.
	raw func(*conn)
	// configure changes key exchange and authentication.
	configure func(*conn, *setup)
	// open is what becomes of a request for a session. The server's mu is held.
	open func(*wireServer, wire.Channel)
	// answer is what becomes of an exec request.
	answer *answer
	// run is what the command is replaced by.
	run func(*session) shell.Exit
	// end tells the client how the command ended.
	end func(*session, shell.Exit)
	// files is what is wrong with files; nil means nothing.
	files *fileFault
}

// add has next happen as well. Two faults can not take the place of the same thing; the one that
// strikes first decides what to expect.
func (b *behaviour) add(next behaviour) error {
	whole := next
	for _, part := range []struct {
		what        string
		first, then bool
		keep        func()
	}{
		{"SSH", b.raw != nil, next.raw != nil, func() { whole.raw = b.raw }},
		{"the opening of sessions", b.open != nil, next.open != nil, func() { whole.open = b.open }},
		{"the answer to exec", b.answer != nil, next.answer != nil, func() { whole.answer = b.answer }},
		{"the command", b.run != nil, next.run != nil, func() { whole.run = b.run }},
		{"its end", b.end != nil, next.end != nil, func() { whole.end = b.end }},
		{"files", b.files != nil, next.files != nil, func() { whole.files = b.files }},
	} {
		switch {
		case part.first && part.then:
			return fmt.Errorf("two of them take the place of %s", part.what)
		case part.first:
			part.keep()
		}
	}
	if !decidesBefore(next, *b) {
		whole.expect = b.expect
	}
	if b.doc != "" {
		whole.doc = b.doc + ", and " + next.doc
	}
	whole.configure = inTurn(b.configure, next.configure)
	*b = whole
	return nil
}

// inTurn returns what calls both functions, of which either may be nil.
func inTurn(first, second func(*conn, *setup)) func(*conn, *setup) {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	}
	return func(c *conn, s *setup) {
		first(c, s)
		second(c, s)
	}
}

// decidesBefore reports whether a, and not b, decides what a client may report.
func decidesBefore(a, b behaviour) bool {
	if len(a.expect.Outcomes) == 0 || len(b.expect.Outcomes) == 0 {
		return len(b.expect.Outcomes) == 0
	}
	return a.phase() < b.phase()
}

// phase counts the phases up to the first in which the host does wrong.
func (b behaviour) phase() int {
	return slices.Index([]bool{b.raw != nil, b.configure != nil, b.open != nil, b.answer != nil, b.run != nil, b.end != nil, true}, true)
}

// faulty reports whether sessions are not a good host's.
func (b behaviour) faulty() bool {
	return b.configure != nil || b.open != nil || b.answer != nil || b.run != nil || b.end != nil || b.files != nil
}

// behaviours has every fault of the protocol that is not in a table of its own.
var behaviours = map[Fault]behaviour{
	FaultNone: {doc: "a good host"},

	FaultReset:             {doc: "resets the connection at the first byte from the client", raw: reset, expect: neverStarted(fleet.ReasonConnReset)},
	FaultSilent:            {doc: "accepts and never says a word", raw: (*conn).drain, expect: neverStarted(fleet.ReasonBannerTimeout)},
	FaultSlowBanner:        {doc: "sends the version line at one byte per second", raw: slowBanner, expect: neverStarted(fleet.ReasonBannerTimeout)},
	FaultEndlessBanner:     {doc: "sends lines without end and no version among them", raw: endlessBanner, expect: neverStarted(fleet.ReasonProtocolError)},
	FaultNotSSH:            {doc: "is a web server", raw: notSSH, expect: neverStarted(fleet.ReasonProtocolError)},
	FaultThrottle:          {doc: "turns the client away as OpenSSH 9.8 and later do", raw: func(c *conn) { throttle(c, notAllowedNow) }, expect: neverStarted(fleet.ReasonThrottled)},
	FaultThrottleOld:       {doc: "turns the client away as OpenSSH before 9.8 does", raw: func(c *conn) { throttle(c, exceededMaxStartups) }, expect: neverStarted(fleet.ReasonThrottled)},
	FaultCloseAfterVersion: {doc: "closes after its version line", raw: closeAfterVersion, expect: neverStarted(fleet.ReasonConnClosed)},

	FaultCloseAfterKexinit: {doc: "closes after its KEXINIT", raw: closeAfterKexinit, expect: neverStarted(fleet.ReasonConnClosed)},
	FaultStallKex:          {doc: "goes silent after its KEXINIT", raw: stallKex, expect: neverStarted(fleet.ReasonKexTimeout)},
	FaultNoCommonAlgorithm: {doc: "knows only a key exchange that nobody should accept", raw: noCommonAlgorithm, expect: neverStarted(fleet.ReasonNoCommonAlgorithm)},
	FaultWrongHostkey:      {doc: "shows another host key than the fleet's known_hosts has", configure: wrongHostkey, expect: neverStarted(fleet.ReasonHostkeyChanged)},

	FaultAuthRefused:     {doc: "accepts no key", configure: authRefused, expect: neverStarted(fleet.ReasonAuthFailed)},
	FaultAuthStall:       {doc: "never answers the offer of a key", configure: authStall, expect: neverStarted(fleet.ReasonAuthTimeout)},
	FaultAuthBannerFlood: {doc: "answers the offer of a key with banners without end", configure: authBannerFlood, expect: neverStarted(fleet.ReasonProtocolAbuse)},

	FaultSessionStall:   {doc: "never answers the opening of a session", open: func(*wireServer, wire.Channel) {}, expect: neverStarted(fleet.ReasonSessionTimeout)},
	FaultSessionRefused: {doc: "refuses to open a session", open: refuseSession, expect: neverStarted(fleet.ReasonSessionRefused)},
	FaultExecRefused:    {doc: "says no to exec", answer: new(no), expect: Expectation{[]fleet.Outcome{fleet.OutcomeRefused}, []fleet.Reason{fleet.ReasonExecRefused}}},
	FaultExecStall:      {doc: "never answers exec, and runs nothing", answer: new(never), expect: unknownFor(fleet.ReasonExecTimeout)},

	FaultEndlessOutput: {doc: "prints without end, whatever the command", run: endlessOutput, expect: unknownFor(fleet.ReasonTimeout)},
	FaultEscapes:       {doc: "prints terminal escapes and worse on both streams, whatever the command", run: printEscapes},
	FaultDropMidOutput: {doc: "drops the connection half way through the first piece of output, or in its place", run: dropMidOutput, expect: unknownFor(fleet.ReasonConnClosed, fleet.ReasonConnReset)},
	FaultRequestFlood:  {doc: "sends a cut-off exit status in place of the command, then requests without end", run: requestFlood, expect: unknownFor(fleet.ReasonProtocolError)},
	FaultOpenFlood:     {doc: "opens channels to the client without end in place of the command", run: openFlood, expect: unknownFor(fleet.ReasonProtocolAbuse, fleet.ReasonTimeout)},

	FaultNoExitStatus:  {doc: "closes the channel without exit status or signal", end: noExitStatus, expect: unknownFor(fleet.ReasonExitMissing)},
	FaultExitSignal:    {doc: "says that a signal with a nasty message ended the command", end: endBySignal, expect: Expectation{Outcomes: []fleet.Outcome{fleet.OutcomeSignalled}}},
	FaultNoClose:       {doc: "sends exit status and EOF and never closes the channel", end: noClose},
	FaultDropAfterExit: {doc: "drops the connection after the exit status", end: dropAfterExit},
}
