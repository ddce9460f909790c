package history

import (
	"strings"
	"testing"
)

// Reruns, and reruns of them, follow their first run; what belongs together stands where its last
// run would.
func TestUnderTheirFirst(t *testing.T) {
	for given, want := range map[string]string{ // id<parent, the last begun first
		"c b a":           "c b a",
		"c<a b a":         "a +c b",
		"d<c c<a b a":     "a +c +d b",
		"c<gone b a<gone": "c b a",
		"d<b c<a b a":     "b +d a +c",
		"b<a a<b":         "b a", // a circle, in a damaged journal
	} {
		var runs []listedRun
		for word := range strings.FieldsSeq(given) {
			id, parent, _ := strings.Cut(word, "<")
			runs = append(runs, listedRun{id: id, parent: parent})
		}
		var got []string
		for _, r := range underTheirFirst(runs) {
			if r.rerun {
				r.id = "+" + r.id
			}
			got = append(got, r.id)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}
