package hostcache

import "slices"

// Limits of an Entry and its endpoint, in bytes but for maxTokens. What exceeds
// them is not remembered.
const (
	maxEndpoint       = 320 // a name of 253, a zone, a port
	maxIdentification = 255 // RFC 4253 section 4.2
	maxUser           = 256
	maxToken          = 64 // RFC 4251 section 6, for names of methods
	maxTokens         = 32 // in each list
)

// An Entry is what is remembered of one endpoint. Each field may be empty.
//
// A token is a word of 1 to 64 printable ASCII characters without space and
// comma. An Entry from [Cache.Get] shares its lists with others: they must not
// be changed.
type Entry struct {
	// Identification is the server's version line without CR LF, at most 255
	// bytes of any value.
	Identification string
	// Kex and HostKeys are the methods for key exchange and the host-key
	// algorithms that the server offered and the client speaks, in the order
	// that the caller wants; at most 32 tokens each.
	Kex, HostKeys []string
	// Key is the fingerprint of the identity that let User in, a token.
	Key string
	// User is the user name, or whatever the caller makes of it; at most 256
	// bytes.
	User string
	// Client names the client that was used, a token.
	Client string
	// Marks are what else the caller wants to find again, at most 32 tokens.
	Marks []string
	// Day is when the endpoint was last seen, in days since 1970-01-01 UTC. It
	// is filled in by [Cache.Put] and may be up to a week late.
	Day int
}

func (e *Entry) valid() bool {
	return len(e.Identification) <= maxIdentification && len(e.User) <= maxUser &&
		validTokens(e.Kex) && validTokens(e.HostKeys) && validTokens(e.Marks) &&
		(e.Key == "" || validToken(e.Key)) && (e.Client == "" || validToken(e.Client))
}

// clone makes e independent of its maker's lists.
func (e *Entry) clone() Entry {
	c := *e
	c.Kex, c.HostKeys, c.Marks = slices.Clone(e.Kex), slices.Clone(e.HostKeys), slices.Clone(e.Marks)
	return c
}

func validTokens(list []string) bool {
	return len(list) <= maxTokens && !slices.ContainsFunc(list, func(s string) bool { return !validToken(s) })
}

func validToken(s string) bool {
	if len(s) == 0 || len(s) > maxToken {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == ',' {
			return false
		}
	}
	return true
}

// validEndpoint allows what is not ASCII: a name may come from /etc/hosts.
func validEndpoint[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > maxEndpoint {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
