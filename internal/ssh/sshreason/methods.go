package sshreason

import (
	"fmt"
	"strings"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// MethodsExcluded returns the reason and error for a target with which no allowed
// authentication method can be tried. taken are the server's methods; "" means that only the
// password is missing.
func MethodsExcluded(t ssh.Target, taken string) (fleet.Reason, error) {
	allowed := strings.Join(t.Methods(), ",")
	if taken == "" {
		return fleet.ReasonNoIdentity, hint.Wrap(fmt.Errorf("ssh_config allows only %q here, and there is no password", allowed),
			"--ask-pass asks for one")
	}
	return fleet.ReasonAuthFailed, fmt.Errorf("the server takes %q, and ssh_config allows only %q here", taken, allowed)
}

// OurKeys says how many keys were offered.
func OurKeys(n int) string {
	if n == 1 {
		return "our key"
	}
	return fmt.Sprintf("any of our %d keys", n)
}

// TooManyKeys adds a hint to the error of a server that ended the connection during
// authentication, if several keys were offered.
func TooManyKeys(err error, offered int) error {
	if offered < 2 {
		return err
	}
	return hint.Wrap(err, "servers bear a few keys (MaxAuthTries); name the right one with --identity, or offer fewer with --max-keys")
}
