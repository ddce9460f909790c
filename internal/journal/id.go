package journal

import (
	"crypto/rand"
	"strings"
	"time"
)

const (
	// Crockford's alphabet: no letter looks like a digit, and identifiers sort like
	// the numbers they encode.
	idDigits = "0123456789abcdefghjkmnpqrstvwxyz"

	idTime = 9 // digits of milliseconds since 1970; they last until the year 3084
	idRand = 4 // random digits for runs that begin in the same millisecond
)

// newID returns a new identifier such as 01hf2kq3z-7m4c. Identifiers sort by time,
// and the last part is short enough to type.
func newID(now time.Time) string {
	var id [idTime + 1 + idRand]byte
	ms := uint64(now.UnixMilli())
	for i := idTime - 1; i >= 0; i-- {
		id[i] = idDigits[ms&31]
		ms >>= 5
	}
	id[idTime] = '-'
	random := id[idTime+1:]
	_, _ = rand.Read(random) // crypto/rand never fails
	for i, b := range random {
		random[i] = idDigits[b&31]
	}
	return string(id[:])
}

func validID(id string) bool {
	if len(id) != idTime+1+idRand || id[idTime] != '-' {
		return false
	}
	return strings.Trim(id[:idTime]+id[idTime+1:], idDigits) == ""
}
