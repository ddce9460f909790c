package xcrypto

import (
	"context"
	"errors"
	"net"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// learning are keys that no agent goes to. It counts those that are checked and not released.
type learning struct {
	fleet *simfleet.Fleet
	held  int
	lets  bool // a host that lets us in is taken
}

func (*learning) Algorithms(ssh.Target) []string { return nil }

func (k *learning) Check(ssh.Target, net.Addr, xssh.PublicKey) error {
	k.held++
	return nil
}

func (k *learning) Accepted(context.Context, ssh.Target, xssh.PublicKey) error {
	if k.lets {
		return nil
	}
	return errors.New("let in")
}

func (k *learning) Released(ssh.Target, xssh.PublicKey)       { k.held-- }
func (*learning) AllowAgent(ssh.Target, xssh.PublicKey) error { return ssh.ErrLearned }

func (k *learning) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) {
	return []xssh.Signer{k.fleet.ClientKey()}, nil
}

// The key of a host to which a required agent does not go has proved nothing.
func TestWithheldAgentReleasesTheKey(t *testing.T) {
	f, err := simfleet.Start(t.Context(), simfleet.Options{Hosts: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	k := &learning{fleet: f}
	d, err := New(Options{HostKeys: k, Identities: k})
	if err != nil {
		t.Fatal(err)
	}
	host := f.Host(0)
	spec := ssh.AgentSpec{Socket: "/nowhere", Required: true}
	_, err = d.Dial(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Agent: true, Target: ssh.Target{
		Target: fleet.Target{Host: host, User: "u", Port: host.Port}, Endpoint: &ssh.Endpoint{Settings: &ssh.Settings{Agent: spec}},
	}})
	if f, ok := errors.AsType[*fleet.Error](err); !ok || f.Reason != fleet.ReasonAgentWithheld {
		t.Errorf("%v", err)
	}
	if k.held != 0 {
		t.Error("the key is not released")
	}
}
