package auth

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A Router gives each target the keys that its own configuration names. It
// implements ssh.Identities. Both fields are required; it is safe for
// concurrent use when Want is.
type Router struct {
	Keyring *Keyring
	// KeySpec gives what a target wants. It is asked at every attempt and should
	// be quick. Its error ends the attempt as never_started(no_identity).
	Want func(fleet.Target) (KeySpec, error)
}

// Signers lists the keys to offer to t. Errors are those of Set.Signers.
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

// reasonOfWait says what the end of an attempt's context means while its keys
// are being loaded.
func reasonOfWait(err error) fleet.Reason {
	if errors.Is(err, context.DeadlineExceeded) {
		return fleet.ReasonAuthTimeout
	}
	return fleet.ReasonInterrupted
}
