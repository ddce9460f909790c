package auth

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
)

// A Secret is bytes that nothing prints: it shows as "[secret]" in every format,
// in JSON and in logs. The zero value is empty. Copies share the bytes.
type Secret struct {
	held *held
}

type held struct{ bytes []byte }

const hidden = "[secret]"

// NewSecret keeps a copy of b and overwrites b.
func NewSecret(b []byte) Secret {
	s := Secret{&held{bytes.Clone(b)}}
	clear(b)
	return s
}

// Reveal gives a copy, for its receiver to overwrite after use.
func (s Secret) Reveal() []byte {
	if s.held == nil {
		return nil
	}
	return bytes.Clone(s.held.bytes)
}

// Empty says that there is nothing in it, or no more.
func (s Secret) Empty() bool { return s.held == nil || len(s.held.bytes) == 0 }

// Wipe overwrites the bytes and leaves the Secret and all its copies empty. It
// is not to be called while another goroutine uses one of them.
func (s Secret) Wipe() {
	if s.held == nil {
		return
	}
	clear(s.held.bytes)
	runtime.KeepAlive(s.held.bytes) // so that the writes are not dead ones
	s.held.bytes = nil
}

// String gives "[secret]", as all the methods below do in their ways.
func (s Secret) String() string { return hidden }

// GoString is for %#v.
func (s Secret) GoString() string { return hidden }

// Format is for every other verb of package fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// MarshalText is for JSON, XML and the like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue is for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }
