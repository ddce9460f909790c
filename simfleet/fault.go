package simfleet

import (
	"fmt"
	"maps"
	"slices"

	"golang.org/x/crypto/ssh"

	"shoal/simfleet/internal/shell"
)

// A Fault is one thing that a host does wrong. Its text is the one on the
// command line.
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
	if b, ok := fileFaults[f]; ok {
		return b
	}
	return behaviours[f]
}

// ParseFault reads a fault's text; "" is FaultNone.
func ParseFault(s string) (Fault, error) {
	_, protocol := behaviours[Fault(s)]
	if _, files := fileFaults[Fault(s)]; !protocol && !files {
		return FaultNone, fmt.Errorf("unknown fault %.40q", s)
	}
	return Fault(s), nil
}

// Faults lists every fault of the protocol but FaultNone, sorted.
func Faults() []Fault {
	return slices.Sorted(maps.Keys(behaviours))[1:]
}

// FileFaults lists the faults of files, sorted.
func FileFaults() []Fault {
	return slices.Sorted(maps.Keys(fileFaults))
}

// A behaviour replaces what a good host does in one phase; nil leaves it. Each
// phase has a file with the behaviours that belong to it.
type behaviour struct {
	doc string
	// raw is the whole connection, up to its close, without SSH behind it.
	raw func(*conn)
	// configure changes key exchange and authentication.
	configure func(*conn, *ssh.ServerConfig)
	// open is what becomes of a request for a session.
	open func(ssh.NewChannel)
	// answer is what becomes of an exec request.
	answer *answer
	// run is what the command is replaced by.
	run func(*session) shell.Exit
	// end tells the client how the command ended.
	end func(*session, shell.Exit)
	// files is what is wrong with files; nil means nothing.
	files *fileFault
}

// behaviours has every fault of the protocol.
var behaviours = map[Fault]behaviour{
	FaultNone: {doc: "a good host"},

	FaultReset:             {doc: "resets the connection at the first byte from the client", raw: reset},
	FaultSilent:            {doc: "accepts and never says a word", raw: (*conn).drain},
	FaultSlowBanner:        {doc: "sends the version line at one byte per second", raw: slowBanner},
	FaultEndlessBanner:     {doc: "sends lines without end and no version among them", raw: endlessBanner},
	FaultNotSSH:            {doc: "is a web server", raw: notSSH},
	FaultThrottle:          {doc: "turns the client away as OpenSSH 9.8 and later do", raw: func(c *conn) { throttle(c, notAllowedNow) }},
	FaultThrottleOld:       {doc: "turns the client away as OpenSSH before 9.8 does", raw: func(c *conn) { throttle(c, exceededMaxStartups) }},
	FaultCloseAfterVersion: {doc: "closes after its version line", raw: closeAfterVersion},

	FaultCloseAfterKexinit: {doc: "closes after its KEXINIT", raw: closeAfterKexinit},
	FaultStallKex:          {doc: "goes silent after its KEXINIT", raw: stallKex},
	FaultNoCommonAlgorithm: {doc: "knows only a key exchange that nobody should accept", configure: noCommonAlgorithm},
	FaultWrongHostkey:      {doc: "shows another host key than the fleet's known_hosts has", configure: wrongHostkey},

	FaultAuthRefused:     {doc: "accepts no key", configure: authRefused},
	FaultAuthStall:       {doc: "never answers the offer of a key", configure: authStall},
	FaultAuthBannerFlood: {doc: "answers the offer of a key with banners without end", configure: authBannerFlood},

	FaultSessionStall:   {doc: "never answers the opening of a session", open: func(ssh.NewChannel) {}},
	FaultSessionRefused: {doc: "refuses to open a session", open: refuseSession},
	FaultExecRefused:    {doc: "says no to exec", answer: new(no)},
	FaultExecStall:      {doc: "never answers exec, and runs nothing", answer: new(never)},

	FaultEndlessOutput: {doc: "prints without end, whatever the command", run: endlessOutput},
	FaultEscapes:       {doc: "prints terminal escapes and worse on both streams, whatever the command", run: printEscapes},
	FaultDropMidOutput: {doc: "drops the connection half way through the first piece of output, or in its place", run: dropMidOutput},
	FaultRequestFlood:  {doc: "sends a cut-off exit status in place of the command, then requests without end", run: requestFlood},
	FaultOpenFlood:     {doc: "opens channels to the client without end in place of the command", run: openFlood},

	FaultNoExitStatus:  {doc: "closes the channel without exit status or signal", end: noExitStatus},
	FaultExitSignal:    {doc: "says that a signal with a nasty message ended the command", end: endBySignal},
	FaultNoClose:       {doc: "sends exit status and EOF and never closes the channel", end: noClose},
	FaultDropAfterExit: {doc: "drops the connection after the exit status", end: dropAfterExit},
}
