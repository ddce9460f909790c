package simfleet

import (
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh/wire"
	"shoal/simfleet/internal/shell"
)

// More faults of sessions, output and ends.
const (
	FaultSessionLimit   Fault = "session-limit"     // S02
	FaultSlowExec       Fault = "slow-exec"         // S04
	FaultDropAtStart    Fault = "drop-at-start"     // S17
	FaultResetMidOutput Fault = "reset-mid-output"  // S17
	FaultHang           Fault = "hang"              // T10
	FaultOneByteOutput  Fault = "one-byte-output"   // S09
	FaultKeepaliveFlood Fault = "keepalive-flood"   // S18
	FaultLateOutput     Fault = "late-output"       // S16
	FaultNoEOF          Fault = "no-eof"            // S16
	FaultStatusTwice    Fault = "status-twice"      // S23
	FaultStatusSignal   Fault = "status-and-signal" // S23
	FaultHugeStatus     Fault = "huge-status"       // S14
)

var commandFaults = map[Fault]behaviour{
	FaultSessionLimit: {
		doc:    "has no session left, as sshd's MaxSessions",
		open:   func(w *wireServer, n wire.Channel) { w.server.Refuse(n, uint32(ssh.ResourceShortage), nasty) },
		expect: neverStarted(fleet.ReasonSessionRefused),
	},
	FaultSlowExec: {
		doc: "takes 300 ms to begin a command",
		run: func(s *session) shell.Exit {
			s.conn.pause(300 * time.Millisecond)
			return runCommand(s)
		},
	},
	FaultDropAtStart: {
		doc: "drops the connection in place of the command",
		run: func(s *session) shell.Exit {
			s.wire().closeWrite()
			return shell.Exit{Broken: true}
		},
		expect: unknownFor(fleet.ReasonConnClosed, fleet.ReasonConnReset),
	},
	FaultResetMidOutput: {
		doc: "resets the connection behind the output",
		run: func(s *session) shell.Exit {
			runCommand(s)
			if tcp, ok := s.conn.raw.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			s.conn.abort()
			return shell.Exit{Broken: true}
		},
		expect: unknownFor(fleet.ReasonConnClosed, fleet.ReasonConnReset),
	},
	FaultHang: {
		doc: "goes silent in place of the command, as a machine that has lost its power",
		run: func(s *session) shell.Exit {
			s.conn.hung.Store(true)
			<-s.ctx.Done()
			return shell.Exit{Broken: true}
		},
		expect: unknownFor(fleet.ReasonTimeout, fleet.ReasonVanished),
	},
	FaultOneByteOutput: {
		doc: "sends output in packets of one byte",
		run: func(s *session) shell.Exit {
			s.stdout.w, s.stderr.w = byteWise{s.stdout.w}, byteWise{s.stderr.w}
			return runCommand(s)
		},
	},
	FaultKeepaliveFlood: {
		doc: "asks over and over in place of the command whether the client is alive", run: keepaliveFlood,
		// As fast as the network lets it: far away that is no flood.
		expect: unknownFor(fleet.ReasonProtocolAbuse, fleet.ReasonTimeout),
	},
	FaultLateOutput: {
		doc: "sends a line of output behind the exit status",
		end: endLate(func(s *session, _ shell.Exit) { _, _ = s.stdout.Write([]byte("late\n")) }),
	},
	FaultNoEOF: {
		doc: "closes the channel without an EOF",
		end: func(s *session, exit shell.Exit) {
			s.sendExit(exit)
			_ = s.Close()
		},
	},
	FaultStatusTwice: {
		doc: "sends a second exit status that differs",
		end: endLate(func(s *session, exit shell.Exit) {
			_, _ = s.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{exit.Status + 1}))
		}),
	},
	FaultStatusSignal: {
		doc: "sends an exit status, and then a signal",
		end: endLate(func(s *session, _ shell.Exit) {
			_, _ = s.SendRequest("exit-signal", false, ssh.Marshal(exitSignal{Name: "KILL"}))
		}),
	},
	FaultHugeStatus: {
		doc:    "ends commands with the exit status 3221225477, as Windows does",
		end:    func(s *session, _ shell.Exit) { endChannel(s, shell.Exit{Status: 0xC0000005}) },
		expect: Expectation{Outcomes: []fleet.Outcome{fleet.OutcomeFailed}},
	},
}

// endLate returns an end at which something follows the exit status.
func endLate(late func(*session, shell.Exit)) func(*session, shell.Exit) {
	return func(s *session, exit shell.Exit) {
		s.sendExit(exit)
		late(s, exit)
		_ = s.CloseWrite()
		_ = s.Close()
	}
}

// byteWise writes one byte at a time.
type byteWise struct {
	w interface{ Write([]byte) (int, error) }
}

func (b byteWise) Write(p []byte) (int, error) {
	for n := range p {
		if _, err := b.w.Write(p[n : n+1]); err != nil {
			return n, err
		}
	}
	return len(p), nil
}

// keepaliveFlood keeps many questions in flight; each of them is answered.
func keepaliveFlood(s *session) shell.Exit {
	w, asked := s.wire(), 0
	return w.flood(func() bool {
		if asked-w.answers >= inFlight {
			return false
		}
		w.server.Keepalive()
		asked++
		return true
	})
}
