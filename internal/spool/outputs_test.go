package spool

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Streams that grow in turn are read as they were written, up to the bytes that there are.
func TestOutputs(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	const limit = 12 << 20
	o := NewOutputs(limit)
	random := rand.NewChaCha8([32]byte{})
	streams, want := make([]*OutputStream, 3), make([][]byte, 3)
	for i := range streams {
		streams[i] = o.New()
	}
	total := 0
	for turn := 0; ; turn++ {
		i, piece := turn%3, make([]byte, 1+random.Uint64()%700_000)
		_, _ = random.Read(piece)
		n := streams[i].Append(piece)
		want[i] = append(want[i], piece[:n]...)
		total += n
		if n < len(piece) {
			break
		}
		if o.Full() != nil {
			t.Fatal(o.Full())
		}
		from := int(random.Uint64() % uint64(len(want[i])))
		part := make([]byte, len(want[i])-from)
		if _, err := streams[i].ReadAt(part, int64(from)); err != nil || !bytes.Equal(part, want[i][from:]) {
			t.Fatalf("from %d: %v", from, err)
		}
	}
	if total != limit || o.Used() != limit || o.Full() == nil || streams[0].Append([]byte("x")) != 0 {
		t.Errorf("%d bytes, %d used, %v", total, o.Used(), o.Full())
	}
	for i, s := range streams {
		got, err := s.Bytes()
		if err != nil || !bytes.Equal(got, want[i]) {
			t.Errorf("stream %d: %d bytes, want %d; %v", i, len(got), len(want[i]), err)
		}
	}
	if got, err := o.New().Bytes(); len(got) != 0 || err != nil {
		t.Errorf("an empty stream: %q, %v", got, err)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if got, err := streams[0].Bytes(); err == nil {
		t.Errorf("%d bytes of a closed file", len(got))
	}
}

// Without a directory for the file nothing is stored, and it is known why.
// faults.md: R11
func TestOutputsNowhere(t *testing.T) {
	t.Setenv("TMPDIR", "/nonexistent")
	o := NewOutputs(100)
	if n := o.New().Append([]byte("abc")); n != 0 || o.Full() == nil {
		t.Errorf("%d, %v", n, o.Full())
	}
}
