package journal

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// columns decodes the values of a row one by one and keeps the first error. The row's
// checksum was correct, so an error here means a bug in this program or a deliberate
// forgery.
type columns struct {
	row []any
	err error
}

func (c *columns) next() any {
	if len(c.row) == 0 {
		c.fail("too few columns")
		return nil
	}
	v := c.row[0]
	c.row = c.row[1:]
	return v
}

func (c *columns) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
	}
}

func (c *columns) text() string {
	v := c.next()
	s, ok := v.(string)
	if !ok {
		c.fail("%T stands where a text should", v)
	}
	return s
}

// number returns an integer from 0 to limit.
func (c *columns) number(limit int64) int64 {
	v := c.next()
	n, ok := v.(int64)
	if !ok || n < 0 || n > limit {
		c.fail("%T %v stands where a number up to %d should", v, clip(v), limit)
		return 0
	}
	return n
}

// optional returns a text, or nil for NULL.
func (c *columns) optional() *string {
	switch v := c.next().(type) {
	case nil:
	case string:
		return &v
	default:
		c.fail("%T stands where a text or nothing should", v)
	}
	return nil
}

// time returns a time, or the zero time for NULL.
func (c *columns) time() time.Time {
	switch v := c.next().(type) {
	case nil:
	case int64:
		return time.Unix(0, v).UTC()
	default:
		c.fail("%T stands where a time or nothing should", v)
	}
	return time.Time{}
}

// hash returns the bytes of a hash, or nil for NULL.
func (c *columns) hash() []byte {
	switch v := c.next().(type) {
	case nil:
		return nil
	case []byte:
		if len(v) == sha256.Size {
			return v
		}
	}
	c.fail("something else stands where a hash should")
	return nil
}

func clip(v any) any {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%.40q", s)
	}
	if _, ok := v.([]byte); ok {
		return "of bytes"
	}
	return v
}
