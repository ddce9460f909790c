package xcrypto

import (
	"bytes"
	"errors"
	"testing"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// A command that comes while another runs on the connection does not take its place.
func TestOneCommandAtATime(t *testing.T) {
	f, err := simfleet.Start(t.Context(), simfleet.Options{Hosts: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	k := &learning{fleet: f, lets: true}
	d, err := New(Options{HostKeys: k, Identities: k})
	if err != nil {
		t.Fatal(err)
	}
	host := f.Host(0)
	attempt := func(command string, out *bytes.Buffer) *ssh.Attempt {
		target := ssh.Target{Target: fleet.Target{Host: host, User: "u", Port: host.Port, Command: command}}
		return &ssh.Attempt{Progress: new(ssh.Progress), Target: target, Stdout: out, Keep: true}
	}
	c, err := d.Dial(t.Context(), attempt("true", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var out, none bytes.Buffer
	first, early := make(chan fleet.End, 1), make(chan fleet.End, 1)
	c.Start(t.Context(), func(fleet.End) {
		c.StartNext(t.Context(), attempt("echo first", &out), func(e fleet.End) { first <- e })
		c.StartNext(t.Context(), attempt("echo early", &none), func(e fleet.End) { early <- e })
	})
	if end := <-early; end.Outcome != fleet.OutcomeNeverStarted || !errors.Is(end.Err, errBusy) {
		t.Errorf("the one that came too early: %+v", end)
	}
	if end := <-first; end.Outcome != fleet.OutcomeOK || out.String() != "first\n" {
		t.Errorf("%+v, output %q", end, out.String())
	}
}
