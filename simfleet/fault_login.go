package simfleet

import (
	"io"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
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
		configure: func(c *conn, config *ssh.ServerConfig) { beforeKey(config, func() { c.pause(slowLogin) }) },
	},
	FaultAuthClose: {
		doc:       "closes at the offer of a key",
		configure: func(c *conn, config *ssh.ServerConfig) { beforeKey(config, func() { _ = c.CloseWrite() }) },
		// A client that sends its command behind the login cannot know more.
		expect: Expectation{
			[]fleet.Outcome{fleet.OutcomeNeverStarted, fleet.OutcomeUnknown},
			[]fleet.Reason{fleet.ReasonConnClosed, fleet.ReasonConnReset},
		},
	},
	FaultAuthBanner: {
		doc: "shows a banner full of terminal escapes before it lets somebody in",
		configure: func(_ *conn, config *ssh.ServerConfig) {
			config.BannerCallback = func(ssh.ConnMetadata) string { return nasty }
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
		configure: func(_ *conn, config *ssh.ServerConfig) {
			config.RekeyThreshold = 256
			config.KeyExchanges = []string{ssh.KeyExchangeCurve25519} // the cheapest
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

// beforeKey has something happen before a key is judged.
func beforeKey(config *ssh.ServerConfig, do func()) {
	judge := config.PublicKeyCallback
	if judge == nil {
		return
	}
	config.PublicKeyCallback = func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		do()
		return judge(m, key)
	}
}

func partialAuth(_ *conn, config *ssh.ServerConfig) {
	config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{
			PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, errNotAllowed },
		}}
	}
}

func promptFlood(_ *conn, config *ssh.ServerConfig) {
	config.PublicKeyCallback, config.PasswordCallback = nil, nil
	config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		questions := strings.Split(strings.TrimSuffix(strings.Repeat("Password: \n", 1000), "\n"), "\n")
		for {
			if _, err := ask("", "", questions, make([]bool, len(questions))); err != nil {
				return nil, err
			}
		}
	}
}

// rekeyStorm pauses between its pieces, since the library exchanges keys on another goroutine.
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

func hostkeyAtRekey(c *conn, config *ssh.ServerConfig) {
	config.RekeyThreshold = 32 << 10
	config.AddHostKey(&turncoat{before: c.fleet.keys.host(c.host), after: c.fleet.keys.changed(c.host)})
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
