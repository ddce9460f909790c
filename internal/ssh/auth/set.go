package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A Set is the keys for some targets. It is safe for concurrent use.
type Set struct {
	keys     []key
	notices  []string
	why      []error // what is wrong with the files that were named
	bad      []error // those of them that are not to be expected
	agentErr error   // why the agent gave no list
	now      func() time.Time
	owned    *Keyring // closed with the Set; may be nil
}

// A key is offered as one of two kinds.
type key struct {
	public ssh.PublicKey
	file   ssh.AlgorithmSigner // the private half, from a file
	holder *agentKey           // or who has it
	from   string              // for people
}

// with gives the key as a certificate of it.
func (k key) with(cert *ssh.Certificate, from string) key {
	k.public, k.from = cert, from
	return k
}

// An Offer is a key that is offered, for people.
type Offer struct {
	Key  ssh.PublicKey // a *ssh.Certificate where one is offered
	From string        // such as: key file "/home/me/.ssh/id_ed25519"
}

// Unusable tells which of the files that were named cannot be used; nil when all
// can.
func (s *Set) Unusable() error { return errors.Join(s.bad...) }

// Signers lists the keys to offer to t, an ssh.MultiAlgorithmSigner each; those
// in the agent end with ctx. A signer may have a method AskFirst() bool: when
// that gives true, the server should be asked whether it takes the key before a
// signature is wanted, since that may take a person's touch.
//
// An agent that cannot be reached any more is left out when there are other
// keys. Without any the error is a *fleet.Error with fleet.ReasonNoIdentity, or
// fleet.ReasonAgentUnavailable when the agent was needed and does not answer.
func (s *Set) Signers(ctx context.Context, t fleet.Target) ([]ssh.Signer, error) {
	now := s.now()
	var signers []ssh.Signer
	var held, files int
	why := s.why
	for _, k := range s.keys {
		if err := validAt(k.public, now); err != nil {
			why = append(why[:len(why):len(why)], fmt.Errorf("%s: %w", k.from, err))
			continue
		}
		if k.holder != nil {
			held++
			signers = append(signers, agentSigner{holder: k.holder, public: k.public, ctx: ctx, target: t})
		} else {
			files++
			signers = append(signers, fileSigner{public: k.public, private: k.file})
		}
	}
	if len(signers) == 0 {
		return nil, s.none(t, why)
	}
	if held > 0 && files > 0 {
		signers = withoutDead(ctx, signers)
	}
	return signers, nil
}

// reachTimeout is how long a target that has other keys waits for an agent that
// was lost.
const reachTimeout = time.Second

// withoutDead leaves out the keys of agents that cannot be reached.
func withoutDead(ctx context.Context, signers []ssh.Signer) []ssh.Signer {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	list := signers[:0]
	var asked *agentClient
	var err error
	for _, signer := range signers {
		if s, ok := signer.(agentSigner); ok {
			if s.holder.link != asked {
				asked = s.holder.link
				err = asked.reach(ctx)
			}
			if err != nil {
				continue
			}
		}
		list = append(list, signer)
	}
	return list
}

// none says why there is no key for t.
func (s *Set) none(t fleet.Target, why []error) error {
	if s.agentErr != nil {
		return fail(t, agentReason(s.agentErr), fmt.Errorf("listing the agent's keys: %w\n"+
			"hint: start the agent, or name a key file", s.agentErr))
	}
	err := errNoIdentity
	if len(why) > 0 {
		err = summarise(why)
	}
	return fail(t, fleet.ReasonNoIdentity, err)
}

var errNoIdentity = errors.New("there is no key to offer\n" +
	"hint: name a key file, or add a key to the agent with ssh-add")

// summarise tells of at most three causes; the notices have all.
func summarise(why []error) error {
	const most = 3
	var texts []string
	for _, err := range why[:min(len(why), most)] {
		texts = append(texts, err.Error())
	}
	if more := len(why) - most; more > 0 {
		texts = append(texts, fmt.Sprintf("%d more", more))
	}
	return fmt.Errorf("there is no key to offer: %s", strings.Join(texts, "; "))
}

// Offers lists what Signers gives, in its order, and where each is from.
func (s *Set) Offers() []Offer {
	offers := make([]Offer, len(s.keys))
	for i, k := range s.keys {
		offers[i] = Offer{Key: k.public, From: k.from}
	}
	return offers
}

// Keys lists the public halves of what Signers gives, in its order.
func (s *Set) Keys() []ssh.PublicKey {
	keys := make([]ssh.PublicKey, len(s.keys))
	for i, k := range s.keys {
		keys[i] = k.public
	}
	return keys
}

// Notices says in words for people which keys were left out, and why.
func (s *Set) Notices() []string { return s.notices }

// Close ends the connection to the agent of a Set that Load gave; its keys in
// the agent sign no more. A Set of a Keyring is closed with that.
func (s *Set) Close() error {
	if s.owned == nil {
		return nil
	}
	return s.owned.Close()
}
