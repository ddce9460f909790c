package hostkeys

import "fmt"

// A Policy says what becomes of a host that known_hosts does not know.
type Policy uint8

// The policies. A key that is revoked or too weak is refused by all of them.
const (
	// Strict refuses it.
	Strict Policy = iota
	// AcceptNew accepts it and writes its key to known_hosts once it has let us
	// in, or before it gets a password. A host that is known under another key is refused.
	AcceptNew
	// Insecure accepts it, and also a host that is known under another key, and
	// writes nothing.
	Insecure
)

var policyNames = []string{"strict", "accept-new", "insecure"}

// String gives the name that [ParsePolicy] takes.
func (p Policy) String() string {
	if int(p) >= len(policyNames) {
		return fmt.Sprintf("invalid(%d)", uint8(p))
	}
	return policyNames[p]
}

// ParsePolicy gives the policy with this name: "strict", "accept-new" or
// "insecure".
func ParsePolicy(s string) (Policy, error) {
	for i, name := range policyNames {
		if name == s {
			return Policy(i), nil
		}
	}
	return 0, fmt.Errorf("unknown host key policy %q: want strict, accept-new or insecure", s)
}
