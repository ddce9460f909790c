package hostkeys

import "fmt"

// A Policy determines how hosts that are not in known_hosts are treated.
type Policy uint8

// The policies. All of them refuse a revoked or weak key.
const (
	// Strict refuses unknown hosts.
	Strict Policy = iota
	// AcceptNew accepts unknown hosts and writes their key to known_hosts after authentication,
	// or before sending a password. A host that is known under another key is refused.
	AcceptNew
	// Insecure accepts unknown hosts and hosts that are known under another key, and writes
	// nothing.
	Insecure
)

var policyNames = []string{"strict", "accept-new", "insecure"}

// String returns the name that [ParsePolicy] accepts.
func (p Policy) String() string {
	if int(p) >= len(policyNames) {
		return fmt.Sprintf("invalid(%d)", uint8(p))
	}
	return policyNames[p]
}

// ParsePolicy returns the policy with the given name: "strict", "accept-new" or "insecure".
func ParsePolicy(s string) (Policy, error) {
	for i, name := range policyNames {
		if name == s {
			return Policy(i), nil
		}
	}
	return 0, fmt.Errorf("unknown host key policy %q: want strict, accept-new or insecure", s)
}
