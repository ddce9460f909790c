package hosts

import (
	"bufio"
	"math/rand/v2"
	"strconv"
	"strings"

	"shoal/hosts/expr"
)

// chosen returns the hosts that --slice and --pick select.
func (f *hostsFlags) chosen(set expr.Set) expr.Set {
	if f.places != nil {
		set = set.Filter(func(i int) bool { return f.places[i] })
	}
	if f.pick > 0 && f.pick < set.Len() {
		picked := pick(set.Len(), f.pick)
		set = set.Filter(func(i int) bool { return picked[i] })
	}
	return set
}

// pick returns n different numbers below total at random, uniformly (Floyd's
// algorithm).
func pick(total, n int) map[int]bool {
	picked := make(map[int]bool, n)
	for i := total - n; i < total; i++ {
		at := rand.IntN(i + 1)
		if picked[at] {
			at = i
		}
		picked[at] = true
	}
	return picked
}

// print prints the set, or its parts with --split. Write errors appear at
// w.Flush.
func (f *hostsFlags) print(w *bufio.Writer, set expr.Set) {
	parts := max(min(f.split, set.Len()), 1)
	from := 0
	for i := range parts {
		to := from + set.Len()/parts
		if i < set.Len()%parts {
			to++
		}
		f.printPart(w, set.Slice(from, to))
		from = to
	}
}

func (f *hostsFlags) printPart(w *bufio.Writer, set expr.Set) {
	switch {
	case f.count:
		_, _ = w.WriteString(strconv.Itoa(set.Len()))
	case f.expand:
		f.printNames(w, set)
	case f.rangeset:
		_, _ = w.WriteString(strings.Trim(set.Fold(), "[]"))
	default:
		_, _ = w.WriteString(set.Fold())
	}
	_ = w.WriteByte('\n')
}

func (f *hostsFlags) printNames(w *bufio.Writer, set expr.Set) {
	separator := strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\0`, "\x00").Replace(f.separator)
	first := true
	for name := range set.Names() {
		if !first {
			_, _ = w.WriteString(separator)
		}
		first = false
		_, _ = w.WriteString(name)
	}
}
