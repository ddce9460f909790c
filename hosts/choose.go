package hosts

import (
	cryptorand "crypto/rand"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"shoal/fleet"
	"shoal/hosts/filter"
	"shoal/hosts/internal/attr"
	"shoal/hosts/internal/problem"
)

// keep reduces a list to the hosts at some indexes, in that order.
func (l *List) keep(places []int) {
	var hosts table
	var details []detail
	for _, place := range places {
		e := l.Entry(place)
		hosts.append(e.Host)
		if len(l.details) > 0 {
			details = append(details, detail{e.Address, e.IdentityFile, e.SSHOptions, e.Attrs})
		}
	}
	l.hosts, l.details = hosts, details
}

// where keeps the hosts for which Options.Where is true.
func (l *loader) where(list *List) {
	if l.opts.Where == "" {
		return
	}
	expr, err := filter.Parse(l.opts.Where)
	if err != nil {
		l.failed(place{source: "--where"}, l.opts.Where, err)
		return
	}
	asked := make(map[string]bool)
	var places []int
	for at := range list.Len() {
		attrs := list.Entry(at).Attrs
		for _, name := range expr.Names() {
			if _, there := attrs.Attr(name); there {
				asked[name] = true
			}
		}
		if expr.Match(attrs) {
			places = append(places, at)
		}
	}
	var missing []string
	for _, name := range expr.Names() {
		if !asked[name] {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		list.Notices = append(list.Notices, "no host has what --where asks for: "+problem.Bounded(strings.Join(missing, ", ")))
	}
	if len(places) == 0 {
		reason := fmt.Sprintf("no hosts left: --where is true for none of %d", list.Len())
		if len(missing) > 0 {
			reason += ", and none has " + problem.Bounded(strings.Join(missing, ", "))
		}
		l.problems.Add(Problem{Source: "--where", Text: l.opts.Where, Reason: reason, Hint: "a missing attribute equals nothing"})
		return
	}
	list.keep(places)
}

// A picking is how many hosts to choose from each part.
type picking struct {
	count int
	attr  string // each value of this attribute is one part; "" means one part in all
}

func parsePick(text string) (picking, error) {
	const hint = "write a number of hosts, such as 3, or 1/rack for one of every rack"
	number, name, by := strings.Cut(text, "/")
	count, err := strconv.Atoi(number)
	if err != nil || count < 1 {
		return picking{}, problem.Faultf(hint, "%q is not a number of hosts", problem.Bounded(number))
	}
	if by {
		if err := attr.CheckName(name); err != nil {
			return picking{}, err
		}
	}
	return picking{count, name}, nil
}

// pick keeps hosts chosen at random according to Options.Pick.
func (l *loader) pick(list *List) {
	if l.opts.Pick == "" || l.problems.Total > 0 {
		return
	}
	at := place{source: "--pick"}
	p, err := parsePick(l.opts.Pick)
	if err != nil {
		l.failed(at, l.opts.Pick, err)
		return
	}
	parts, without := list.parts(p.attr)
	if len(parts) == 0 {
		l.problem(at, l.opts.Pick, fmt.Sprintf("none of %s has the attribute", plural(list.Len(), "host", "hosts")), "choose another attribute, or a plain number")
		return
	}
	seed := l.opts.Seed
	if seed == 0 {
		seed = freshSeed()
	}
	total := list.Len()
	places := chooseFrom(parts, p.count, seed)
	list.keep(places)
	notice := fmt.Sprintf("picked %d of %s; seed %d picks the same again", len(places), plural(total, "host", "hosts"), seed)
	if without > 0 {
		notice += fmt.Sprintf("; %d without %s", without, p.attr)
	}
	list.Notices = append(list.Notices, notice)
}

// parts groups indexes by the value of an attribute, in the order of first occurrence, and
// counts the hosts that do not have it.
func (l *List) parts(name string) (parts [][]int, without int) {
	if name == "" {
		all := make([]int, l.Len())
		for at := range all {
			all[at] = at
		}
		return [][]int{all}, 0
	}
	byValue := make(map[string]int)
	for at := range l.Len() {
		value, there := l.Entry(at).Attrs.Attr(name)
		if !there {
			without++
			continue
		}
		part, known := byValue[value]
		if !known {
			part = len(parts)
			byValue[value] = part
			parts = append(parts, nil)
		}
		parts[part] = append(parts[part], at)
	}
	return parts, without
}

// chooseFrom draws count indexes from each part with equal probability and sorts them.
func chooseFrom(parts [][]int, count int, seed uint64) []int {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	random := rand.New(rand.NewChaCha8(key)) //nolint:gosec // a sample is no secret, and a seed must repeat it
	var places []int
	for _, part := range parts {
		drawn := min(count, len(part))
		for i := range drawn {
			j := i + random.IntN(len(part)-i)
			part[i], part[j] = part[j], part[i]
		}
		places = append(places, part[:drawn]...)
	}
	slices.Sort(places)
	return places
}

// freshSeed returns an unpredictable seed that is short enough to be typed.
func freshSeed() uint64 {
	var b [8]byte
	_, _ = cryptorand.Read(b[:]) // it never fails (crypto/rand)
	return uint64(binary.LittleEndian.Uint32(b[:])) + 1
}

// exclusions are the hosts to exclude. In their keys "" and 0 mean any user and any
// port.
type exclusions struct {
	byKey map[key]*exclusion
	order []*exclusion
}

type exclusion struct {
	host fleet.Host
	used bool
}

func newExclusions() *exclusions {
	return &exclusions{byKey: make(map[key]*exclusion)}
}

// add adds a host unless it is there already.
func (e *exclusions) add(h fleet.Host) {
	k := key{user: h.User, name: canonical(h.Name), port: h.Port}
	if e.byKey[k] == nil {
		x := &exclusion{host: h}
		e.byKey[k] = x
		e.order = append(e.order, x)
	}
}

// match reports whether an entry is excluded, and marks all exclusions that match it.
func (e *exclusions) match(k key) bool {
	if len(e.byKey) == 0 {
		return false
	}
	matched := false
	for _, meant := range [...]key{
		{user: k.user, name: k.name, port: k.port},
		{user: k.user, name: k.name},
		{name: k.name, port: k.port},
		{name: k.name},
	} {
		if x := e.byKey[meant]; x != nil {
			x.used, matched = true, true
		}
	}
	return matched
}

// idle returns the exclusions that matched no host.
func (e *exclusions) idle() sample {
	var idle sample
	for _, x := range e.order {
		if !x.used {
			idle.add(x.host)
		}
	}
	return idle
}
