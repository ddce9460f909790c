package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
)

// A Set is the keys for one or more targets. It is safe for concurrent use.
type Set struct {
	keys     []key
	notices  []string
	why      []error // problems of named files
	bad      []error // the unexpected ones among them
	agentErr error   // why the agent returned no list
	now      func() time.Time
	sha1     bool     // see KeySpec.SHA1
	owned    *Keyring // closed with the Set; may be nil
}

// A key is an offered key from a file or in an agent.
type key struct {
	public ssh.PublicKey
	file   ssh.AlgorithmSigner // the private key, from a file
	holder *agentKey           // the agent that has the private key
	from   string              // origin, for people
}

// with returns the key with a certificate for it.
func (k key) with(cert *ssh.Certificate, from string) key {
	k.public, k.from = cert, from
	return k
}

// An Offer describes an offered key, for people.
type Offer struct {
	Key  ssh.PublicKey // a *ssh.Certificate if one is offered
	From string        // for example: key file "/home/me/.ssh/id_ed25519"
}

// Unusable returns an error that lists the named files that cannot be used, or nil.
func (s *Set) Unusable() error { return errors.Join(s.bad...) }

// Signers returns the keys to offer to t, each an ssh.MultiAlgorithmSigner; agent keys stop
// signing when ctx ends. A signer may have a method AskFirst() bool: if it returns true, the
// server should be asked whether it accepts the key before signing, since a signature may take
// a person's touch.
//
// Keys of an agent that can no longer be reached are left out if there are other keys. If there
// are no keys, the error is a *fleet.Error with fleet.ReasonNoIdentity, or
// fleet.ReasonAgentUnavailable if the agent was needed and does not answer.
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
			signers = append(signers, agentSigner{holder: k.holder, public: k.public, ctx: ctx, target: t, sha1: s.sha1, from: k.from})
		} else {
			files++
			signers = append(signers, fileSigner{public: k.public, private: k.file, sha1: s.sha1, from: k.from})
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

// reachTimeout bounds how long a target that has other keys waits for an agent whose connection
// was lost.
const reachTimeout = time.Second

// withoutDead filters out the keys of agents that cannot be reached.
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

// none returns the error that explains why there is no key for t.
func (s *Set) none(t fleet.Target, why []error) error {
	if s.agentErr != nil {
		return fail(t, agentReason(s.agentErr), hint.Wrap(fmt.Errorf("listing the agent's keys: %w", s.agentErr), "start the agent, or name a key file"))
	}
	err := errNoIdentity
	if len(why) > 0 {
		err = summarise(why)
	}
	return fail(t, fleet.ReasonNoIdentity, err)
}

var errNoIdentity = hint.New("there is no key to offer", "name a key file, or add a key to the agent with ssh-add")

// summarise lists at most three causes; the notices have all of them.
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

// Offers returns the keys that Signers returns, in the same order, with their origin.
func (s *Set) Offers() []Offer {
	offers := make([]Offer, len(s.keys))
	for i, k := range s.keys {
		offers[i] = Offer{Key: k.public, From: k.from}
	}
	return offers
}

// Keys returns the public keys of what Signers returns, in the same order.
func (s *Set) Keys() []ssh.PublicKey {
	keys := make([]ssh.PublicKey, len(s.keys))
	for i, k := range s.keys {
		keys[i] = k.public
	}
	return keys
}

// Notices returns, for people, which keys were left out and why.
func (s *Set) Notices() []string { return s.notices }

// Close closes the agent connection of a Set from Load; its agent keys can no longer sign. A
// Set from a Keyring is closed with the Keyring.
func (s *Set) Close() error {
	if s.owned == nil {
		return nil
	}
	return s.owned.Close()
}
