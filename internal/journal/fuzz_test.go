package journal

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/fleet"
)

// A route is refused or decodes losslessly.
func FuzzDecodeRoute(f *testing.F) {
	f.Add(`{"address":"a"}`)
	f.Add(`{"via":{"host":"b","route":{"proxy_command":["bmM="]}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		route, err := decodeRoute(text)
		if err != nil {
			return
		}
		again, err := encodeRoute(route)
		if err != nil || again == nil {
			return // more jump hosts than can be encoded, or no route
		}
		decoded, err := decodeRoute(again.(string))
		if d := cmp.Diff(route, decoded); d != "" || err != nil {
			t.Error(d, err)
		}
	})
}

// A content is refused or matches its hash.
func FuzzDecodeContent(f *testing.F) {
	c := newCompression()
	f.Cleanup(c.close)
	for _, text := range []string{"a", strings.Repeat("ab", 2500), "\x28\xb5\x2f\xfd"} {
		k := c.encode(sha256.Sum256([]byte(text)), []byte(text))
		f.Add(text, k.data, k.coding, k.size)
	}
	f.Fuzz(func(t *testing.T, text string, data []byte, coding string, size int64) {
		if size > 1<<20 {
			size %= 1 << 20 // decode allocates it
		}
		got, err := c.decode(content{hash: sha256.Sum256([]byte(text)), data: data, coding: coding, size: size})
		if err == nil && string(got) != text {
			t.Errorf("%q instead of %q", got, text)
		}
	})
}

func TestTooManyJumps(t *testing.T) {
	route := &fleet.Route{}
	for range maxJumps {
		route = &fleet.Route{Via: &fleet.Target{Route: route}}
	}
	if _, err := encodeRoute(route); err == nil {
		t.Error("written")
	}
}
