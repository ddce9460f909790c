package journal

import (
	"crypto/rand"
	"strings"
	"time"
)

const (
	// Crockford's alphabet: no letter is taken for a digit, and the order of the
	// texts is that of the numbers.
	idDigits = "0123456789abcdefghjkmnpqrstvwxyz"

	idTime = 9 // digits of milliseconds since 1970: until the year 3084
	idRand = 4 // digits that tell apart what began in one millisecond
)

// newID makes an identifier such as 01hf2kq3z-7m4c: it sorts by time, and its
// last part is short enough to be typed.
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
