package auth

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
)

// A Secret holds bytes that are never printed: it formats as "[secret]" in every format, in
// JSON and in logs. The zero value is empty. Copies share the bytes.
type Secret struct {
	held *held
}

type held struct{ bytes []byte }

const hidden = "[secret]"

// NewSecret copies b and overwrites b.
func NewSecret(b []byte) Secret {
	s := Secret{&held{bytes.Clone(b)}}
	clear(b)
	return s
}

// Reveal returns a copy, which the caller overwrites after use.
func (s Secret) Reveal() []byte {
	if s.held == nil {
		return nil
	}
	return bytes.Clone(s.held.bytes)
}

// Empty reports whether there are no bytes, or they have been wiped.
func (s Secret) Empty() bool { return s.held == nil || len(s.held.bytes) == 0 }

// Wipe overwrites the bytes and leaves the Secret and all its copies empty. It must not be
// called while another goroutine uses one of them.
func (s Secret) Wipe() {
	if s.held == nil {
		return
	}
	clear(s.held.bytes)
	runtime.KeepAlive(s.held.bytes) // so that the writes are not optimised away
	s.held.bytes = nil
}

// String returns "[secret]", like the methods below in their formats.
func (s Secret) String() string { return hidden }

// GoString implements %#v.
func (s Secret) GoString() string { return hidden }

// Format implements all other verbs of package fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// MarshalText implements JSON, XML and other text encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }
