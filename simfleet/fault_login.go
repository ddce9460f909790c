package simfleet

import (
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh/wire"
	"shoal/simfleet/internal/shell"
)

// The faults of logins, and of keys that are exchanged again later.
const (
	FaultSlowAuth       Fault = "slow-auth"        // A01
	FaultAuthClose      Fault = "auth-close"       // A01
	FaultAuthBanner     Fault = "auth-banner"      // A02
	FaultPartialAuth    Fault = "partial-auth"     // A04
	FaultPromptFlood    Fault = "prompt-flood"     // A05
	FaultRekeyStorm     Fault = "rekey-storm"      // K10
	FaultHostkeyAtRekey Fault = "hostkey-at-rekey" // K12
)

// slowLogin is how long FaultSlowAuth takes.
const slowLogin = time.Second

var loginFaults = map[Fault]behaviour{
	FaultSlowAuth: {
		doc:       "takes a second to let somebody in, as with a slow directory",
		configure: func(_ *conn, s *setup) { s.delayLogin(slowLogin) },
	},
	FaultAuthClose: {
		doc: "closes at the offer of a key",
		configure: func(_ *conn, s *setup) {
			s.login = func(w *wireServer, _ wire.AuthRequest) { w.commands.Go(w.closeWrite) }
		},
		// A client that sends its command behind the login cannot know more.
		expect: Expectation{
			[]fleet.Outcome{fleet.OutcomeNeverStarted, fleet.OutcomeUnknown},
			[]fleet.Reason{fleet.ReasonConnClosed, fleet.ReasonConnReset},
		},
	},
	FaultAuthBanner: {
		doc: "shows a banner full of terminal escapes before it lets somebody in",
		configure: func(_ *conn, s *setup) {
			judge := s.login
			s.login = func(w *wireServer, ev wire.AuthRequest) {
				if ev.Signed {
					w.server.SendBanner(nasty)
				}
				judge(w, ev)
			}
		},
	},
	FaultPartialAuth: {
		doc: "wants a password after the key", configure: partialAuth,
		expect: neverStarted(fleet.ReasonAuthIncomplete),
	},
	FaultPromptFlood: {
		doc: "accepts no key, and asks a thousand questions over and over", configure: promptFlood,
		expect: neverStarted(fleet.ReasonAuthFailed),
	},
	FaultRekeyStorm: {
		doc: "exchanges keys for every few bytes of output",
		configure: func(_ *conn, s *setup) {
			s.config.RekeyBytes, s.config.Kex = 256, []string{ssh.KeyExchangeCurve25519} // the cheapest
		},
		run: rekeyStorm,
		// As fast as this machine can: where that is slow it is no storm, and the answer to exec may
		// come late.
		expect: unknownFor(fleet.ReasonProtocolAbuse, fleet.ReasonTimeout, fleet.ReasonExecTimeout),
	},
	FaultHostkeyAtRekey: {
		doc: "shows another host key when keys are exchanged again", configure: hostkeyAtRekey,
		run:    muchOutput,
		expect: unknownFor(fleet.ReasonHostkeyChanged),
	},
}

// delayLogin has a login answered d later.
func (s *setup) delayLogin(d time.Duration) {
	judge := s.login
	s.login = func(w *wireServer, ev wire.AuthRequest) {
		if ev.Method == wire.MethodNone || ev.Method == wire.MethodPublicKey && !ev.Signed {
			judge(w, ev)
			return
		}
		w.commands.Go(func() {
			if w.conn.pause(d) {
				w.answer(func() { judge(w, ev) })
			}
		})
	}
}

// answer has a login answered, and goes on with what came behind it.
func (w *wireServer) answer(login func()) {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		login()
		w.process()
	}
}

func partialAuth(_ *conn, s *setup) {
	next := wire.MethodPublicKey
	s.login = func(w *wireServer, ev wire.AuthRequest) {
		switch {
		case ev.Method != wire.MethodPublicKey || next != wire.MethodPublicKey:
			w.server.Reject(false, next)
		case ev.Signed:
			next = wire.MethodPassword
			w.server.Reject(true, next)
		default:
			w.server.Accept()
		}
	}
}

func promptFlood(_ *conn, s *setup) {
	questions := slices.Repeat([]wire.Prompt{{Text: []byte("Password: ")}}, 1000)
	s.login = func(w *wireServer, ev wire.AuthRequest) {
		if ev.Method == wire.MethodInteractive {
			w.server.Ask("", "", questions...)
		} else {
			w.server.Reject(false, wire.MethodInteractive)
		}
	}
}

// rekeyStorm pauses between its pieces: until the client has sent its NEWKEYS no exchange can begin, and
// any number of bytes would fit in between.
func rekeyStorm(s *session) shell.Exit {
	few := []byte(strings.Repeat("few bytes\n", 30))
	for s.conn.pause(time.Millisecond) {
		if _, err := s.stdout.Write(few); err != nil {
			break
		}
	}
	return shell.Exit{Broken: true}
}

func muchOutput(s *session) shell.Exit {
	part := []byte(strings.Repeat("0123456789abcde\n", 256))
	for s.conn.pause(time.Millisecond) {
		if _, err := s.stdout.Write(part); err != nil {
			break
		}
	}
	return shell.Exit{Broken: true}
}

func hostkeyAtRekey(c *conn, s *setup) {
	s.config.RekeyBytes = 32 << 10
	s.key = &turncoat{before: s.key, after: c.fleet.keys.changed(c.host)}
}

// A turncoat is a host key that becomes another after its first signature.
type turncoat struct {
	before, after ssh.Signer
	turned        atomic.Bool
}

func (t *turncoat) PublicKey() ssh.PublicKey {
	if t.turned.Load() {
		return t.after.PublicKey()
	}
	return t.before.PublicKey()
}

func (t *turncoat) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	if t.turned.Swap(true) {
		return t.after.Sign(rand, data)
	}
	return t.before.Sign(rand, data)
}
