package journal

import (
	"crypto/hmac"
	"crypto/sha256"
	"math"

	"shoal/fleet"
)

// maxIndex bounds the index of a target and thereby the memory of a run: one bit per
// index.
const maxIndex = 1 << 30

// targetValues returns the row of a target without run and checksum.
func targetValues(t *fleet.Target, command []byte) ([]any, error) {
	route, err := encodeRoute(t.Route)
	if err != nil {
		return nil, err
	}
	return []any{
		int64(t.Index), t.Host.Name, t.Host.User, int64(t.Host.Port), t.User, int64(t.Port), route, command,
	}, nil
}

const selectTarget = `SELECT t.run, t.idx, t.host, t.host_user, t.host_port, t.user, t.port, t.route, t.command, t.sum
	FROM targets t WHERE t.run = ? ORDER BY t.idx`

// targetColumns is the number of columns of selectTarget.
const targetColumns = 10

// decodeTarget is the inverse of targetValues, for a row of selectTarget.
func decodeTarget(row []any) (t fleet.Target, command []byte, err error) {
	c := columns{row: row}
	_ = c.number(math.MaxInt64) // the run
	t.Index = int(c.number(maxIndex))
	t.Host = fleet.Host{Name: c.text(), User: c.text(), Port: uint16(c.number(math.MaxUint16))}
	t.User = c.text()
	t.Port = uint16(c.number(math.MaxUint16))
	if route := c.optional(); route != nil {
		if t.Route, err = decodeRoute(*route); err != nil {
			c.fail("a route: %w", err)
		}
	}
	command = c.hash()
	if command == nil {
		c.fail("a target has no command")
	}
	return t, command, c.err
}

// saltedHash returns the hash that is stored instead of a command's text.
func saltedHash(salt []byte, command string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(command))
	return [sha256.Size]byte(mac.Sum(nil))
}
