package simfleet

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"shoal/fleet"
	"shoal/simfleet/internal/shell"
)

// groupKey is what the server can tell targets apart by.
type groupKey struct{ host, command string }

func (k groupKey) String() string { return fmt.Sprintf("%.80q: %.80q", k.host, k.command) }

// A group is all results and execs of one host and command.
type group struct {
	key     groupKey
	whole   []claim // of results that ran and have all their output
	partial []claim // of results with a part of their output: they ran and do not have all, or it is not known how they ended
	results int
	refused int    // results of a command that the server turned down
	unknown int    // results that allow an exec, and have no output to tell it by
	ran     []Exec // execs that the server accepted
	// turnedDown counts execs that it did not.
	turnedDown int
	declined   int // wrappers that did not start it
	detached   int // results that tell of a start and nothing of the end
}

// wrapperText is what the shell of a wrapper, or of a query, is started with.
const wrapperText = `eval "$0"`

// startsOf returns the starts of targets' commands in an exec, by known: the exec's
// own command, or those of shells in it. declined is the command of a wrapper that
// started none.
func startsOf(e Exec, known func(host, command string) bool) (starts []Exec, declined string) {
	if known(e.Host, e.Command) {
		return []Exec{e}, ""
	}
	inner, becomes := becoming(e)
	if becomes {
		e.Shells = slices.DeleteFunc(slices.Clone(e.Shells), func(s Shell) bool { return s.Command == inner })
		e = asOther(e)
	}
	if len(e.Shells) == 0 { // the host has refused it, or done something else instead
		if _, quoted, ok := strings.Cut(strings.TrimSuffix(e.Command, "'"), wrapperText); ok {
			if command := target(e.Host, quoted[strings.LastIndexByte(quoted, '\'')+1:], known); command != "" {
				e.Command = command
			}
		}
		return []Exec{e}, ""
	}
	for _, s := range e.Shells {
		if known(e.Host, s.Command) {
			run := e
			run.Command = s.Command
			starts = append(starts, run)
		}
	}
	if len(starts) > 0 {
		return starts, ""
	}
	if slices.ContainsFunc(e.Shells, func(s Shell) bool { return s.Command != wrapperText }) {
		return []Exec{e}, "" // of no target
	}
	if args := e.Shells[0].Args; len(args) == 2 || becomes {
		declined = target(e.Host, args[len(args)-1], known)
	}
	return nil, declined
}

// becoming returns the text that an exec was to run as another user, if it was to: the first
// parameter of the shell that tries. That text begins both streams of the other user's.
func becoming(e Exec) (inner string, ok bool) {
	if len(e.Shells) == 0 || e.Shells[0].Command != wrapperText || len(e.Shells[0].Args) < 2 {
		return "", false
	}
	inner = e.Shells[0].Args[0]
	return inner, strings.Contains(inner, `echo "shoal/1 $0 became"`)
}

// asOther returns e with the streams as they were from the other user's first line on. Longer
// streams than a Prefix keeps do not match any result.
func asOther(e Exec) Exec {
	for i, w := range []*Written{fleet.Stdout: &e.Stdout, fleet.Stderr: &e.Stderr} {
		rest := e.Prefixes[i].Head
		for became := false; !became; {
			line, behind, more := bytes.Cut(rest, []byte("\n"))
			at := bytes.LastIndex(line, []byte("shoal/1 "))
			became = at >= 0 && bytes.HasSuffix(line, []byte(" became"))
			if rest = behind; !more {
				rest = nil // all that came was somebody else's
				break
			}
		}
		if w.Size == int64(len(e.Prefixes[i].Head)) {
			*w, e.Prefixes[i] = WrittenOf(rest), PrefixOf(rest)
		}
	}
	return e
}

// target returns the command that a wrapper has as its last argument, if it is a
// target's. Bytes that shells interpret are encoded for printf %b.
func target(host, argument string, known func(host, command string) bool) string {
	command, _ := shell.Printf("%b", []string{argument})
	for _, text := range []string{string(command), argument} {
		if text != "" && known(host, text) {
			return text
		}
	}
	return ""
}

// A claim is what a result says about its exec.
type claim struct {
	index   int
	outcome fleet.Outcome
	facts   facts
	bytes   [fleet.NumStreams][]byte // what the result has of the output
	cut     [fleet.NumStreams]bool   // which is a beginning only
	atLeast bool                     // the sizes are lower bounds
}

// facts are what an exec and a result of it have in common.
type facts struct {
	status  uint32
	signal  string
	streams [fleet.NumStreams]Written
}

func (g *group) empty() bool { return g.results+len(g.ran)+g.turnedDown == 0 }

func (g *group) addExec(e Exec) {
	if e.Accepted {
		g.ran = append(g.ran, e)
	} else {
		g.turnedDown++
	}
}

func (g *group) addResult(r *Report, res fleet.Result) {
	g.results++
	silent := res.Stdout.Size == 0 && res.Stderr.Size == 0
	switch {
	case res.Outcome.Ran():
		c := claimOf(res)
		if c.cut == [fleet.NumStreams]bool{} && !c.atLeast {
			g.whole = append(g.whole, c)
		} else {
			g.partial = append(g.partial, c)
		}
		return
	case res.Outcome == fleet.OutcomeUnknown && silent:
		g.unknown++
		return
	case res.Outcome == fleet.OutcomeDetached && silent:
		g.unknown++
		g.detached++
		return
	case res.Outcome == fleet.OutcomeUnknown:
		g.partial = append(g.partial, claimOf(res))
		return
	case res.Outcome == fleet.OutcomeRefused:
		g.refused++
	}
	if !silent {
		r.violate("target %d, %v: %v, and yet it has output: %v", res.Target.Index, g.key, res.Outcome, claimOf(res).facts)
	}
}

func claimOf(r fleet.Result) claim {
	c := claim{index: r.Target.Index, outcome: r.Outcome}
	c.atLeast = r.Flags.Has(fleet.FlagOutputIncomplete) || !r.Outcome.Ran()
	if c.facts.signal = r.Signal; r.Signal == "" {
		c.facts.status = r.Status
	}
	for i, out := range []fleet.Output{fleet.Stdout: r.Stdout, fleet.Stderr: r.Stderr} {
		c.bytes[i] = out.Bytes
		c.cut[i] = out.Truncated() || c.atLeast
		w := WrittenOf(out.Bytes)
		w.Size = out.Size
		c.facts.streams[i] = w
	}
	return c
}

func factsOf(e Exec) facts {
	return facts{e.Status, e.Signal, [fleet.NumStreams]Written{fleet.Stdout: e.Stdout, fleet.Stderr: e.Stderr}}
}

// allows reports whether e may be the exec that c tells of.
func (c claim) allows(e Exec) bool {
	f := factsOf(e)
	if c.outcome.Ran() && (!ended(e) || f.status != c.facts.status || f.signal != c.facts.signal) {
		return false
	}
	for i, w := range f.streams {
		got := c.facts.streams[i]
		switch {
		case c.atLeast && got.Size > w.Size,
			!c.atLeast && got.Size != w.Size,
			!c.cut[i] && got.SHA256 != w.SHA256:
			return false
		}
		if same, _ := e.Prefixes[i].begins(c.bytes[i], w); c.cut[i] && !same {
			return false
		}
	}
	return true
}

// compared reports whether all that c has of the output could be compared with
// what e has.
func (c claim) compared(e Exec) bool {
	for i, w := range factsOf(e).streams {
		if _, all := e.Prefixes[i].begins(c.bytes[i], w); c.cut[i] && !all {
			return false
		}
	}
	return true
}

// begins compares got with the beginning of a stream of which w and p are known:
// same reports that no difference was found, and all that there is none.
func (p Prefix) begins(got []byte, w Written) (same, all bool) {
	n := int64(len(got))
	head := min(len(got), len(p.Head))
	switch {
	case n > w.Size || !bytes.Equal(got[:head], p.Head[:head]):
		return false, false
	case head == len(got):
		return true, true
	case n == w.Size:
		same = sha256.Sum256(got) == w.SHA256
		return same, same
	}
	steps := min(n/PrefixSize, int64(len(p.Digests)))
	if steps > 0 && sha256.Sum256(got[:steps*PrefixSize]) != p.Digests[steps-1] {
		return false, false
	}
	return true, steps*PrefixSize == n
}

// ended reports whether the server told the client how the exec ended.
func ended(e Exec) bool { return e.HasStatus || e.Signal != "" }

func (g *group) check(r *Report) {
	g.checkConnections(r)
	free, missing := g.matchWhole()
	free, more := g.matchPartial(r, free)
	for _, c := range append(missing, more...) {
		free = g.unmatched(r, c, free)
	}
	if len(free) < g.detached {
		r.violate("%v was detached %d times, and started %d times", g.key, g.detached, len(free))
	}
	if n := len(free); n > g.unknown {
		r.violate("%v ran %d times more than any result tells of", g.key, n-g.unknown)
		free = free[:g.unknown]
	} else if n > 0 && g.results > 1 && (n > 1 || g.unknown < g.results) {
		// Of the targets one is unknown, and that exec need not be its own.
		r.Ambiguous = append(r.Ambiguous, fmt.Sprintf("%v ran %d times more than the results tell of for certain, and which of its %d targets did is not to be seen",
			g.key, n, g.results))
	}
	// A refusal may have been lost on its way.
	if n := g.turnedDown - g.refused; n > g.unknown-len(free) {
		r.violate("%v was refused %d times more than any result tells of", g.key, n-g.unknown+len(free))
	} else if n+g.declined < 0 {
		r.violate("%v was refused %d times less than the results say", g.key, -n)
	}
}

// checkConnections finds what ran twice for one target, whatever others there
// are: a connection belongs to one of them.
func (g *group) checkConnections(r *Report) {
	if g.results < 2 {
		return // the counts tell
	}
	seen := make(map[uint64]bool, len(g.ran))
	for _, e := range g.ran {
		if e.Conn != 0 && seen[e.Conn] {
			r.violate("%v ran twice on connection %d", g.key, e.Conn)
		}
		seen[e.Conn] = true
	}
}

// matchWhole assigns to every claim with complete output an exec with the same facts, and
// returns the remaining execs and claims. Execs with the same facts are interchangeable, so
// no choice made here can be wrong.
func (g *group) matchWhole() (free []Exec, missing []claim) {
	wanted := make(map[facts]int)
	for _, c := range g.whole {
		wanted[c.facts]++
	}
	had := make(map[facts]int)
	for _, e := range g.ran {
		f := factsOf(e)
		if !ended(e) || had[f] == wanted[f] {
			free = append(free, e)
			continue
		}
		had[f]++
	}
	for _, c := range g.whole {
		if had[c.facts] == 0 {
			missing = append(missing, c)
			continue
		}
		had[c.facts]--
	}
	return free, missing
}

// matchPartial does the same for claims that several unlike execs may fit, by
// augmenting paths.
func (g *group) matchPartial(r *Report, execs []Exec) (free []Exec, missing []claim) {
	owner := make([]int, len(execs)) // of each exec: its place in g.partial, plus 1
	for i := range g.partial {
		g.augment(i, execs, owner, make([]bool, len(execs)))
	}
	matched := make([]bool, len(g.partial))
	for j, e := range execs {
		if owner[j] == 0 {
			free = append(free, e)
			continue
		}
		i := owner[j] - 1
		if matched[i] = true; !g.partial[i].compared(e) {
			r.Uncompared++
		}
	}
	for i, c := range g.partial {
		if !matched[i] {
			missing = append(missing, c)
		}
	}
	return free, missing
}

// augment finds an exec for claim i, moving other claims to other execs where
// that helps.
func (g *group) augment(i int, free []Exec, owner []int, tried []bool) bool {
	for j := range free {
		if tried[j] || !g.partial[i].allows(free[j]) {
			continue
		}
		tried[j] = true
		if owner[j] == 0 || g.augment(owner[j]-1, free, owner, tried) {
			owner[j] = i + 1
			return true
		}
	}
	return false
}

// unmatched reports a claim that no exec fits. Where some exec is left, it is
// taken as the one that the claim gets wrong, and is not reported again.
func (g *group) unmatched(r *Report, c claim, free []Exec) []Exec {
	if len(free) == 0 {
		r.violate("target %d, %v: %v, but it did not run", c.index, g.key, c)
		return free
	}
	r.violate("target %d, %v: %v, but it was %v", c.index, g.key, c, factsOf(free[0]))
	return free[1:]
}

func (c claim) String() string {
	if c.outcome.Ran() {
		return c.facts.String()
	}
	return fmt.Sprintf("%v with %v", c.outcome, c.facts.output())
}

func (f facts) String() string {
	how := fmt.Sprintf("status %d", f.status)
	if f.signal != "" {
		how = fmt.Sprintf("signal %.40q", f.signal)
	}
	return how + ", " + f.output()
}

func (f facts) output() string {
	out, err := f.streams[fleet.Stdout], f.streams[fleet.Stderr]
	return fmt.Sprintf("stdout of %d bytes (%.8s), stderr of %d bytes (%.8s)", out.Size, out.SHA256, err.Size, err.SHA256)
}
