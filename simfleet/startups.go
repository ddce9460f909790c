package simfleet

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
)

// Startups is MaxStartups of sshd_config(5): with Start unauthenticated
// connections open, a new one is dropped with a chance of Rate in 100, which
// grows evenly until with Full of them every one is dropped. The zero value
// drops none.
type Startups struct {
	Start, Rate, Full int
}

// ParseStartups reads "start:rate:full", or "full" alone for a hard limit.
func ParseStartups(s string) (Startups, error) {
	fields := strings.Split(s, ":")
	numbers := make([]int, len(fields))
	for i, field := range fields {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return Startups{}, fmt.Errorf("parsing MaxStartups %.40q: %.20q is not a positive number", s, field)
		}
		numbers[i] = n
	}
	var st Startups
	switch len(numbers) {
	case 1:
		st = Startups{Start: numbers[0], Rate: 100, Full: numbers[0]}
	case 3:
		st = Startups{Start: numbers[0], Rate: numbers[1], Full: numbers[2]}
	default:
		return Startups{}, fmt.Errorf("parsing MaxStartups %.40q: want start:rate:full or full", s)
	}
	return st, st.validate()
}

func (s Startups) String() string { return fmt.Sprintf("%d:%d:%d", s.Start, s.Rate, s.Full) }

func (s Startups) validate() error {
	if s == (Startups{}) {
		return nil
	}
	if s.Start < 1 || s.Start > s.Full || s.Rate < 1 || s.Rate > 100 {
		return fmt.Errorf("MaxStartups %v: want 1 <= start <= full and 1 <= rate <= 100", s)
	}
	return nil
}

// chance returns the percentage of connections that are dropped while n unauthenticated ones
// are open (OpenSSH sshd.c, should_drop_connection).
func (s Startups) chance(n int) int {
	switch {
	case s == (Startups{}) || n < s.Start:
		return 0
	case n >= s.Full || s.Rate == 100:
		return 100
	}
	return s.Rate + (100-s.Rate)*(n-s.Start)/(s.Full-s.Start)
}

// A gate counts each host's unauthenticated connections.
type gate struct {
	limit Startups
	mu    sync.Mutex
	dice  *rand.Rand
	open  map[int]int // by host; hosts with none are not in it
	peak  int         // the most that one host has had
}

func newGate(limit Startups, dice *rand.Rand) *gate {
	return &gate{limit: limit, dice: dice, open: make(map[int]int)}
}

// enter reports whether the host takes one connection more. After true, leave
// must follow.
func (g *gate) enter(host int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.open[host]
	if chance := g.limit.chance(n); chance > 0 && g.dice.IntN(100) < chance {
		return false
	}
	g.open[host] = n + 1
	g.peak = max(g.peak, n+1)
	return true
}

func (g *gate) leave(host int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[host]--; g.open[host] == 0 {
		delete(g.open, host)
	}
}

func (g *gate) most() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peak
}
