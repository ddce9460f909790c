package auth

import (
	"context"
	"errors"
)

// Load reads the keys and asks the agent for its list. ctx bounds the latter.
// The error tells of all the files that were named and cannot be used. The Set
// is to be closed.
func Load(ctx context.Context, o Options) (*Set, error) {
	k, err := NewKeyring(o.keyring())
	if err != nil {
		return nil, err
	}
	set, err := k.Set(ctx, o.want())
	if err == nil {
		err = set.Unusable()
	}
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	set.owned = k
	return set, nil
}
