package sshreason

import "shoal/internal/hint"

// TooManyKeys adds a hint to the error of a server that ended the connection during
// authentication, if several keys were offered.
func TooManyKeys(err error, offered int) error {
	if offered < 2 {
		return err
	}
	return hint.Wrap(err, "servers bear a few keys (MaxAuthTries); name the right one with --identity, or offer fewer with --max-keys")
}
