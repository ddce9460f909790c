package auth

import (
	"context"
	"errors"
	"fmt"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// Signers returns the keys to offer to t. A target without an endpoint fails with
// fleet.ReasonNoIdentity; the other errors are those of Set.Signers.
func (k *Keyring) Signers(ctx context.Context, t ssh.Target) ([]xssh.Signer, error) {
	if t.Endpoint == nil || t.Endpoint.Settings == nil {
		return nil, fail(t.Target, fleet.ReasonNoIdentity, fmt.Errorf("choosing keys: %w", ssh.ErrUnplanned))
	}
	set, err := k.Set(ctx, t.Endpoint.Settings.Keys)
	if err != nil {
		return nil, fail(t.Target, reasonOfWait(err), fmt.Errorf("loading keys: %w", err))
	}
	return set.Signers(ctx, t.Target)
}

// reasonOfWait returns the reason for a context that ended while keys were being loaded.
func reasonOfWait(err error) fleet.Reason {
	if errors.Is(err, context.DeadlineExceeded) {
		return fleet.ReasonAuthTimeout
	}
	return fleet.ReasonInterrupted
}
