package persist

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// raw returns the bytes of a frame.
func raw(k kind, id uint32, body func(*enc)) []byte {
	e := enc{binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0, byte(k)}, id)}
	if body != nil {
		body(&e)
	}
	binary.BigEndian.PutUint32(e.b, uint32(len(e.b)-4))
	return e.b
}

// FuzzHolder sends any bytes to a holder: it ends the connection, or answers, and stays alive. No
// command can run, because nobody says that a host key is trusted.
func FuzzHolder(f *testing.F) {
	h := hello{purpose: purposeRun, idle: time.Hour, profile: profile{timeouts: ssh.Timeouts{}.WithDefaults()}}
	begin := raw(kindHello, 0, h.encode)
	a := &ssh.Attempt{Target: ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "127.0.0.1"}, User: "u", Port: 1, Command: "true"}}}
	open := bytes.Join([][]byte{
		begin, raw(kindSettings, 1, func(e *enc) { e.bytes([]byte("{}")) }), raw(kindOpen, 1, func(e *enc) { encodeAttempt(e, a, []uint32{1}, 0, -1) }),
	}, nil)
	f.Add(begin)
	f.Add(open)
	f.Add(bytes.Join([][]byte{open, raw(kindStart, 1, func(e *enc) { e.bool(true) }), raw(kindCredit, 1, func(e *enc) { e.uint(9) })}, nil))
	f.Add(bytes.Join([][]byte{open, raw(kindCancel, 1, func(e *enc) { e.str("x") }), raw(kindClose, 1, nil), raw(kindPing, 0, nil)}, nil))
	f.Add(raw(kindHello, 0, (&hello{purpose: purposeStatus}).encode))
	f.Fuzz(func(t *testing.T, input []byte) {
		d := NewHolder(HolderOptions{})
		here, there := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); d.Serve(context.Background(), there) }()
		read := make(chan struct{})
		go func() { defer close(read); _, _ = io.Copy(io.Discard, here) }()
		_, _ = here.Write(input)
		_ = here.Close()
		<-done
		<-read
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}

// FuzzDialer answers a run with any bytes: its attempt ends, and it never ran unless it was handed
// over.
// faults.md: R17
func FuzzDialer(f *testing.F) {
	welcome := raw(kindWelcome, 0, func(e *enc) { e.uint(version); encodeRefusal(e, nil); e.bytes(nil) })
	opened := raw(kindOpened, 1, func(e *enc) { encodeConnection(e, nil); e.bool(false); e.str("") })
	end := raw(kindEnd, 1, func(e *enc) { encodeEnd(e, fleet.Exited(fleet.PhaseDrain, 0, "", true), nil) })
	f.Add(welcome)
	f.Add(bytes.Join([][]byte{welcome, opened, end}, nil))
	f.Add(bytes.Join([][]byte{welcome, opened, raw(kindOutput, 1, func(e *enc) { e.uint(0); e.str("out") }), end}, nil))
	f.Add(bytes.Join([][]byte{welcome, raw(kindAsk, 3, func(e *enc) {
		e.uint(1)
		e.uint(uint64(askSign))
		e.uint(0)
		e.uint(0)
		e.str("")
		e.bytes(nil)
	})}, nil))
	f.Add(bytes.Join([][]byte{welcome, raw(kindAsk, 3, func(e *enc) { e.uint(1); e.uint(uint64(askIntend)); e.uint(0); e.str("") }), opened}, nil))
	f.Add(bytes.Join([][]byte{welcome, raw(kindFailed, 1, func(e *enc) {
		encodeEnd(e, fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonConnRefused, Phase: fleet.PhaseDial, Err: io.EOF}, nil)
	})}, nil))
	f.Fuzz(func(t *testing.T, input []byte) {
		here, there := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, there) }()
		go func() { _, _ = there.Write(input); _ = there.Close() }()
		k := &keys{gone: true, refused: true}
		d, err := New(context.Background(), here, Options{HostKeys: k, Identities: k, Local: nowhere{}})
		if err != nil {
			return
		}
		intents := 0
		a := &ssh.Attempt{
			Progress: new(ssh.Progress), Intent: func() error { intents++; return nil }, Stdout: io.Discard, Stderr: io.Discard,
			Target: ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "127.0.0.1"}, User: "u", Port: 1, Command: "true"}},
		}
		end := run(context.Background(), d, a)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if intents == 0 && end.Outcome != fleet.OutcomeNeverStarted && a.Connection.Why != fleet.DialHolder && a.Timeline.Phase() == fleet.PhaseNone {
			t.Errorf("without an intent: %+v", end)
		}
	})
}

// nowhere dials nothing.
type nowhere struct{}

func (nowhere) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonDialFailed, io.EOF)
}
