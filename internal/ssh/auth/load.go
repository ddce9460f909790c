package auth

import (
	"context"
	"errors"
)

// Load reads the keys and requests the agent's list. ctx bounds the latter. The error lists all
// named files that cannot be used. The caller must close the Set.
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
