package persist

import (
	"context"
	"crypto/ed25519"
	"slices"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
	"shoal/simfleet"
)

// A jump host may need a password where its target does not.
func TestPasswordAtJumpHost(t *testing.T) {
	d := &Dialer{opts: Options{Passwords: true}}
	for _, c := range []struct {
		hop, target bool
		want        fleet.DialReason
	}{{false, false, ""}, {false, true, fleet.DialPassword}, {true, false, fleet.DialPassword}} {
		hop := ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "hop"}, User: "u"}, Endpoint: &ssh.Endpoint{Settings: &ssh.Settings{Password: c.hop}}}
		via := ssh.Via(hop)
		via.Settings = &ssh.Settings{Password: c.target}
		a := &ssh.Attempt{Progress: new(ssh.Progress), Target: via.Target(fleet.Target{Host: fleet.Host{Name: "target"}, User: "u"})}
		if why, plain := d.whyLocal(a); why != c.want || plain {
			t.Errorf("%+v: %q, %t", c, why, plain)
		}
	}
}

// A variable reaches the host as it is, or not by way of the holder.
func TestVariableOfBytes(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	for variable, why := range map[string]fleet.DialReason{"NAME=\xe9t\xe9": fleet.DialHolder, "NAME=été": fleet.DialNew} {
		r.want(t, 0, why, func(a *ssh.Attempt) {
			a.Target.Endpoint = &ssh.Endpoint{Settings: &ssh.Settings{Env: []string{variable}}}
		})
	}
}

// A stranger has a key that no host knows.
type stranger struct{ *keys }

func (s stranger) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) {
	if s.gone {
		return nil, nil
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	signer, err := xssh.NewSignerFromKey(private)
	return []xssh.Signer{signer}, err
}

// A programmed is a Local that has the system's ssh.
type programmed struct {
	nowhere

	reason fleet.Reason
	taken  []string
}

func (p *programmed) ProgramHelps(_ context.Context, _ ssh.Target, f *fleet.Error) bool {
	p.reason, p.taken = f.Reason, sshreason.TakenBy(f)
	return true
}

// Where the holder's client is not let in, the run's own client may know another way.
func TestAnotherWayIn(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	for _, gone := range []bool{false, true} {
		k, local := stranger{&keys{fleet: r.fleet, gone: gone}}, new(programmed)
		d := r.dialerOn(t, Options{HostKeys: k, Identities: k, Local: local})
		a, _ := r.attempt(0, "echo must not run")
		if end := run(t.Context(), d, a); end.Reason != fleet.ReasonDialFailed || a.Connection.Why != fleet.DialClient {
			t.Errorf("no key: %t: %+v, %+v", gone, end, a.Connection)
		}
		if want := fleet.ReasonNoIdentity; gone && local.reason != want || !gone && !slices.Contains(local.taken, "publickey") {
			t.Errorf("no key: %t: asked with %s, %q", gone, local.reason, local.taken)
		}
	}
	r.ran(t, 0)
}
