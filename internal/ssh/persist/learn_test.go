package persist

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostkeys"
	"shoal/simfleet"
)

// The key of an unknown host is written down once it has let us in, and not before: anybody may have answered.
func TestLearnedAfterLogin(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	path := filepath.Join(t.TempDir(), "known_hosts")
	settings := &ssh.Settings{Known: ssh.HostKeySpec{Files: []string{path}, Policy: ssh.HostKeysAcceptNew}}
	for _, let := range []bool{false, true} {
		k := &keys{fleet: r.fleet, gone: !let}
		v := hostkeys.NewVerifier()
		d := r.dialer(t, Options{HostKeys: v, Identities: k})
		a, _ := r.attempt(0, "echo ran")
		a.Target.Endpoint = &ssh.Endpoint{User: a.Target.User, Port: a.Target.Port, Settings: settings}
		end := run(t.Context(), d, a)
		if (end.Outcome == fleet.OutcomeOK) != let {
			t.Errorf("%+v", end)
		}
		text, err := os.ReadFile(path)
		if learned := strings.Contains(string(text), "ssh-"); learned != let {
			t.Errorf("let in: %t; known_hosts: %q, %v", let, text, err)
		}
		_, _ = d.Close(), v.Close()
	}
}

// A run that takes a connection whose host another run has learned meanwhile knows the host too: it may have secrets.
func TestLearnedByAnother(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	path := filepath.Join(t.TempDir(), "known_hosts")
	settings := &ssh.Settings{Known: ssh.HostKeySpec{Files: []string{path}, Policy: ssh.HostKeysAcceptNew}}
	var runs []*Dialer
	for range 2 {
		v := hostkeys.NewVerifier()
		t.Cleanup(func() { _ = v.Close() })
		if _, err := v.Store(ssh.Target{Endpoint: &ssh.Endpoint{Settings: settings}}); err != nil { // known_hosts is read
			t.Fatal(err)
		}
		runs = append(runs, r.dialer(t, Options{HostKeys: v, Identities: r.keys}))
	}
	for i, d := range runs {
		a, _ := r.attempt(0, "echo ran")
		a.Target.Endpoint = &ssh.Endpoint{User: a.Target.User, Port: a.Target.Port, Settings: settings}
		if end := run(t.Context(), d, a); end.Outcome != fleet.OutcomeOK || a.Connection.Held != (i == 1) {
			t.Errorf("run %d: %+v, %+v", i, end, a.Connection)
		}
		if err := a.AllowSecret(); err != nil {
			t.Errorf("run %d: %v", i, err)
		}
	}
	if text, err := os.ReadFile(path); err != nil || strings.Count(string(text), "\n") != 1 {
		t.Errorf("known_hosts: %q, %v", text, err)
	}
}

// The run that was asked for the verdict on a jump host may have ended when the jump host has let us in: another one, which
// is told, has a verdict of its own.
func TestAnotherRunAccepts(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 2})
	settings := &ssh.Settings{Known: ssh.HostKeySpec{Files: []string{filepath.Join(t.TempDir(), "known_hosts")}, Policy: ssh.HostKeysAcceptNew}}
	v := hostkeys.NewVerifier()
	t.Cleanup(func() { _ = v.Close() })
	d := r.dialer(t, Options{HostKeys: v, Identities: r.keys})
	jump := r.fleet.Host(1)
	hop := ssh.Target{Target: fleet.Target{Host: jump, User: "u", Port: jump.Port}, Endpoint: &ssh.Endpoint{Settings: settings}}
	a, _ := r.attempt(0, "echo")
	a.Target = ssh.Via(hop).Target(a.Target.Target)
	w := d.newRemote(t.Context(), a)
	defer w.finished()
	accepted := func(key xssh.PublicKey) error {
		var body enc
		body.bytes(key.Marshal())
		k := &asking{remote: w, hop: 1, target: hop, ctx: t.Context(), body: dec{b: body.b}}
		_, err := k.answer(askAccepted)
		return err
	}
	if err := accepted(r.fleet.HostKey(1)); err != nil {
		t.Error(err)
	}
	if err := accepted(r.fleet.HostKey(0)); err == nil {
		t.Error("a second key was accepted")
	}
}

// A panicking is a HostKeys with a fault.
type panicking struct{ *keys }

func (panicking) Check(ssh.Target, net.Addr, xssh.PublicKey) error { panic("a fault") }

// A panic in what answers the holder ends one attempt.
func TestAnswerPanics(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	k := panicking{r.keys}
	d := r.dialer(t, Options{HostKeys: k, Identities: k})
	a, _ := r.attempt(0, "echo must not run")
	if end := run(t.Context(), d, a); end.Outcome != fleet.OutcomeNeverStarted || end.Phase != fleet.PhaseHostkey {
		t.Errorf("%+v", end)
	}
	if err := d.whyLost(); err != nil {
		t.Error(err)
	}
}

// So does one in what records its intent when the holder asks for it.
func TestIntentPanics(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	a, _ := r.attempt(0, "echo must not run")
	a.Hold = true
	a.Intent = func() error { panic("a fault") }
	if end := run(t.Context(), r.Dialer, a); end.Outcome != fleet.OutcomeNeverStarted || end.Reason != fleet.ReasonInternal {
		t.Errorf("%+v", end)
	}
	r.ran(t, 0)
}
