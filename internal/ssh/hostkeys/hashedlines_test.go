package hostkeys

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// newHashedLines returns lines that hide these names, numbered from 1.
func newHashedLines(names []string) *hashedLines {
	h := new(hashedLines)
	for i, name := range names {
		h.add(&entry{number: i + 1}, hide(name))
	}
	return h
}

func numbersOf(lines []*entry) []int {
	var numbers []int
	for _, e := range lines {
		numbers = append(numbers, e.number)
	}
	return numbers
}

func placesOf(names []string, name string) []int {
	var places []int
	for i, n := range names {
		if n == name {
			places = append(places, i+1)
		}
	}
	return places
}

// A lookup finds exactly the lines with that name, in any order of lookups and additions.
func TestHashedLinesFindTheirName(t *testing.T) {
	pool := []string{"a", "b", "host.example.net", "[host]:2222", "none", strings.Repeat("x", 55), strings.Repeat("x", 56), strings.Repeat("y", maxName)}
	rapid.Check(t, func(t *rapid.T) {
		h := new(hashedLines)
		var names []string
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			for _, name := range rapid.SliceOfN(rapid.SampledFrom(pool), 0, 20).Draw(t, "added") {
				names = append(names, name)
				h.add(&entry{number: len(names)}, hide(name))
			}
			for _, name := range rapid.SliceOfN(rapid.SampledFrom(pool), 0, 8).Draw(t, "asked for") {
				if got, want := numbersOf(h.lookup(name)), placesOf(names, name); !slices.Equal(got, want) {
					t.Fatalf("%q: lines %v, want %v of %q", name, got, want, names)
				}
			}
		}
	})
}

// Concurrent lookups of the same names return the same lines.
func TestHashedLinesAreFoundByManyAtOnce(t *testing.T) {
	t.Parallel()
	const hosts, workers = 40, 8
	var names []string
	for i := range 3 * hosts {
		names = append(names, fmt.Sprintf("host%d", i%hosts))
	}
	for range 20 {
		h := newHashedLines(names)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range hosts {
					name := fmt.Sprintf("host%d", (i+w/2)%hosts)
					if got, want := numbersOf(h.lookup(name)), placesOf(names, name); !slices.Equal(got, want) {
						t.Errorf("%s: lines %v, want %v", name, got, want)
					}
				}
			})
		}
		wg.Wait()
	}
}

// Names that no line has are not stored.
func TestHashedLinesKeepNoMisses(t *testing.T) {
	h := newHashedLines([]string{"a", "b"})
	for i := range 1000 {
		h.lookup(fmt.Sprint("miss", i))
	}
	h.lookup("a")
	if len(h.named) != 1 {
		t.Errorf("%d names are kept, want 1", len(h.named))
	}
}
