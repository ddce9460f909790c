package auth

import (
	"bytes"
	"testing"
)

func TestWipeOverwrites(t *testing.T) {
	t.Parallel()
	s := NewSecret([]byte("secret"))
	held := s.held.bytes
	s.Wipe()
	if !bytes.Equal(held, make([]byte, len(held))) {
		t.Errorf("the memory has %q", held)
	}
}
