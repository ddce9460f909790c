package auth

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A Router selects each target's keys by the target's configuration. It implements
// ssh.Identities. Both fields are required; it is safe for concurrent use if Want is.
type Router struct {
	Keyring *Keyring
	// Want returns the keys that a target wants. It is called at every attempt and should be
	// fast. Its error ends the attempt as never_started(no_identity).
	Want func(fleet.Target) (KeySpec, error)
}

// Signers returns the keys to offer to t. Errors are those of Set.Signers.
func (r Router) Signers(ctx context.Context, t fleet.Target) ([]ssh.Signer, error) {
	w, err := r.Want(t)
	if err != nil {
		return nil, fail(t, fleet.ReasonNoIdentity, fmt.Errorf("choosing keys: %w", err))
	}
	set, err := r.Keyring.Set(ctx, w)
	if err != nil {
		return nil, fail(t, reasonOfWait(err), fmt.Errorf("loading keys: %w", err))
	}
	return set.Signers(ctx, t)
}

// reasonOfWait returns the reason for a context that ended while keys were being loaded.
func reasonOfWait(err error) fleet.Reason {
	if errors.Is(err, context.DeadlineExceeded) {
		return fleet.ReasonAuthTimeout
	}
	return fleet.ReasonInterrupted
}
