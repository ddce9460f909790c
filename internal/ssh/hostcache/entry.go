package hostcache

import "slices"

// Limits of an Entry and its endpoint, in bytes except maxTokens. Anything beyond them is not
// stored.
const (
	maxEndpoint       = 320 // a name of 253, a zone, a port
	maxIdentification = 255 // RFC 4253 section 4.2
	maxUser           = 256
	maxToken          = 64 // RFC 4251 section 6, for names of methods
	maxTokens         = 32 // in each list
)

// An Entry is what is stored about one endpoint. Each field may be empty.
//
// A token is a word of 1 to 64 printable ASCII characters without space and comma. An Entry
// from [Cache.Get] shares its lists with others: they must not be changed.
type Entry struct {
	// Identification is the server's version line without CR LF: at most 255 bytes of any
	// value.
	Identification string
	// Kex and HostKeys are the key exchange methods and host-key algorithms that both the
	// server and the client support, in the caller's order of preference; at most 32 tokens
	// each.
	Kex, HostKeys []string
	// Key is the fingerprint of the identity that authenticated User, a token.
	Key string
	// User is the user name or any other text; at most 256 bytes.
	User string
	// Client is the name of the client that was used, a token.
	Client string
	// Marks are for the caller's own use, at most 32 tokens.
	Marks []string
	// Day is when the endpoint was last seen, in days since 1970-01-01 UTC. [Cache.Put] sets
	// it. It may be up to a week old even if the endpoint was seen later.
	Day int
}

func (e *Entry) valid() bool {
	return len(e.Identification) <= maxIdentification && len(e.User) <= maxUser &&
		validTokens(e.Kex) && validTokens(e.HostKeys) && validTokens(e.Marks) &&
		(e.Key == "" || validToken(e.Key)) && (e.Client == "" || validToken(e.Client))
}

// clone copies e including its lists.
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

// validEndpoint allows non-ASCII names: a name may come from /etc/hosts.
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
