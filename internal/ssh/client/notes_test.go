package client

import (
	"fmt"
	"testing"

	"shoal/internal/ssh/hostcache"
	"shoal/internal/sshdtest"
)

// Words about a host stay while what is learned of it changes; the oldest give way to new ones.
func TestNotes(t *testing.T) {
	t.Parallel()
	r := rigFor(sshdtest.OpenSSH(t))
	r.remember(t, hostcache.Entry{Kex: []string{"curve25519-sha256"}, Marks: []string{markNotStrict, dated("note:old", today()-recheck), "note:odd"}})
	d, host := r.newDialer(t), r.target("")
	for i := range maxNotes + 2 {
		d.Note(host, fmt.Sprint("word", i), true)
	}
	d.Note(host, "word9", false)
	r.run(t, "true").ok(t, "")
	for i := range maxNotes + 2 {
		if word := fmt.Sprint("word", i); d.Noted(host, word) != (i >= 2 && i != 9) {
			t.Errorf("%s: %v; remembered %v", word, d.Noted(host, word), r.remembered(t).Marks)
		}
	}
	if d.Noted(host, "old") || d.Noted(host, "odd") || d.Noted(host, "word") {
		t.Errorf("remembered %v", r.remembered(t).Marks)
	}
	host.Port++
	if d.Note(host, "word", true); d.Noted(host, "word") {
		t.Error("a word about an unknown host is kept")
	}
}
