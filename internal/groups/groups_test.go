package groups

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"shoal/fleet"
	"shoal/internal/mask"
	"shoal/internal/textdiff"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func output(s string) fleet.Output { return fleet.Output{Bytes: []byte(s), Size: int64(len(s))} }

func ok(index int, host, stdout string) fleet.Result {
	return fleet.Result{
		Target: fleet.Target{Host: fleet.Host{Name: host}, Index: index},
		End:    fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseDrain, Flags: fleet.FlagExitKnown},
		Stdout: output(stdout),
	}
}

// rendered renders groups: members, kinds, and the shown host with its text.
func rendered(t *testing.T, gs *Groups) []string {
	t.Helper()
	var all []string
	for _, g := range gs.List {
		stdout, stderr, err := gs.Text(g)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s [%s] %s: %s%s", strings.Join(g.Hosts(), ","), g.Differ, g.Shown.Host, stdout, stderr))
	}
	return all
}

func collect(t *testing.T, o Options, results ...fleet.Result) *Groups {
	t.Helper()
	c := New(o)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	for i := range results {
		c.Add(&results[i])
	}
	return c.Groups()
}

func want(t *testing.T, gs *Groups, want ...string) {
	t.Helper()
	if got := rendered(t, gs); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Any difference between two results separates them, except names, attempts, error texts
// and how they were connected.
func TestWhatCounts(t *testing.T) {
	base := ok(0, "a", "ab")
	base.Stderr = output("c")
	base.Outcome, base.Status = fleet.OutcomeFailed, 1
	same := ok(7, "b", "ab")
	same.Stderr, same.End = base.Stderr, base.End
	same.Attempt, same.Err, same.Flags = 2, errors.New("other words"), base.Flags|fleet.FlagFallback
	if gs := collect(t, Options{}, base, same); len(gs.List) != 1 {
		t.Errorf("%d groups", len(gs.List))
	}
	for name, change := range map[string]func(r *fleet.Result){
		"outcome":    func(r *fleet.Result) { r.Outcome = fleet.OutcomeUnknown },
		"status":     func(r *fleet.Result) { r.Status = 256 + 1 },
		"signal":     func(r *fleet.Result) { r.Signal = "TERM" },
		"reason":     func(r *fleet.Result) { r.Reason = fleet.ReasonTimeout },
		"phase":      func(r *fleet.Result) { r.Phase = fleet.PhaseRun },
		"flags":      func(r *fleet.Result) { r.Flags |= fleet.FlagOutputIncomplete },
		"agent":      func(r *fleet.Result) { r.Flags |= fleet.FlagNoAgent },
		"variable":   func(r *fleet.Result) { r.Flags |= fleet.FlagEnvRefused },
		"label":      func(r *fleet.Result) { r.Flags |= fleet.FlagLabelLost },
		"stdout":     func(r *fleet.Result) { r.Stdout = output("aB") },
		"stderr":     func(r *fleet.Result) { r.Stderr = output("d") },
		"the border": func(r *fleet.Result) { r.Stdout, r.Stderr = output("a"), output("bc") },
	} {
		r := same
		change(&r)
		for _, o := range []Options{{}, {Masker: mask.New(mask.All)}} {
			if gs := collect(t, o, base, r); len(gs.List) != 2 {
				t.Errorf("%s does not part results", name)
			}
		}
	}
	longer := same
	longer.Stdout.Size++
	if gs := collect(t, Options{}, base, longer); len(gs.List) != 2 {
		t.Error("the size does not part results")
	}
	signal, reason := same, same
	signal.Signal, signal.Reason = "a", "b"
	reason.Signal, reason.Reason = "ab", ""
	if gs := collect(t, Options{}, signal, reason); len(gs.List) != 2 {
		t.Error("signal and reason run into each other")
	}
}

// Masked text does not count; the text shown is one host's, and the kinds that differ are
// named.
func TestMasks(t *testing.T) {
	results := []fleet.Result{
		ok(3, "d", "12:00:03 up, pid 7\n"), ok(1, "b", "12:00:01 up, pid 7\n"), ok(2, "c", "12:00:01 up, pid 8\n"), ok(0, "a", "12:00:00 down\n"),
	}
	want(t, collect(t, Options{}, results...),
		"a [] a: 12:00:00 down\n", "b [] b: 12:00:01 up, pid 7\n", "c [] c: 12:00:01 up, pid 8\n", "d [] d: 12:00:03 up, pid 7\n")
	want(t, collect(t, Options{Masker: mask.New(mask.All)}, results...),
		"b,c,d [time, pid] b: 12:00:01 up, pid 7\n", "a [] a: 12:00:00 down\n")
	want(t, collect(t, Options{Masker: mask.New(mask.Of(mask.Time))}, results...),
		"b,d [time] b: 12:00:01 up, pid 7\n", "a [] a: 12:00:00 down\n", "c [] c: 12:00:01 up, pid 8\n")
	gs := collect(t, Options{Masker: mask.New(0, regexp.MustCompile(`\d+`))}, results...)
	want(t, gs, "b,c,d [pattern] b: 12:00:01 up, pid 7\n", "a [] a: 12:00:00 down\n")
	if gs.Told != mask.Of(mask.Pattern) || gs.Targets != 4 {
		t.Errorf("%s, %d", gs.Told, gs.Targets)
	}
}

// The own name is masked in an answer that no other host gave, so that hosts whose answers
// are the same stay together, and one with the name of another stands out.
func TestOwnName(t *testing.T) {
	o := Options{Masker: mask.New(mask.Of(mask.Host))}
	want(t, collect(t, o, ok(0, "a", "I am a\n"), ok(1, "b", "I am b\n"), ok(2, "c", "I am c\n")), "a,b,c [host] a: I am a\n")
	want(t, collect(t, o, ok(0, "a", "ask b\n"), ok(1, "b", "ask b\n"), ok(2, "c", "ask b\n")), "a,b,c [] a: ask b\n")
	want(t, collect(t, o, ok(0, "a", "I am a\n"), ok(1, "b", "I am a\n"), ok(2, "c", "I am c\n"), ok(3, "d", "I am d\n")),
		"a,b [] a: I am a\n", "c,d [host] c: I am c\n")
	// The same host several times.
	want(t, collect(t, o, ok(0, "a", "a\n"), ok(1, "a", "a\n"), ok(2, "b", "b\n")), "a,a,b [host] a: a\n")
}

// Auto masks times, pids and names, and of the other kinds those of which nearly each
// target has its own.
func TestAuto(t *testing.T) {
	var results []fleet.Result
	for i := range 20 {
		version := "1.2"
		if i >= 15 {
			version = "1.3"
		}
		results = append(results, ok(i, fmt.Sprintf("web%d", i), fmt.Sprintf(
			"12:00:%02d web%d %s port %d, gateway 10.0.0.%d, my address 192.0.2.%d\n", i%2, i, version, 22+i/10, 1, i)))
	}
	gs := collect(t, Options{Masker: mask.New(mask.All), Auto: true}, results...)
	// Ports differ with meaning; addresses do not.
	if len(gs.List) != 3 || len(gs.List[0].Members) != 10 || gs.Told != mask.Of(mask.Time, mask.Host, mask.Address) {
		t.Errorf("%s: %s", gs.Told, rendered(t, gs))
	}
	if gs := collect(t, Options{Masker: mask.New(mask.All)}, results...); len(gs.List) != 2 {
		t.Errorf("%s", rendered(t, gs))
	}
	sums := []fleet.Result{ok(0, "a", "d41d8cd98f00b204e9800998ecf8427e\n"), ok(1, "b", "d41d8cd98f00b204e9800998ecf8427e\n"), ok(2, "c", "d41d8cd98f00b204e9800998ecf8427f\n")}
	if gs := collect(t, Options{Masker: mask.New(mask.All), Auto: true}, sums...); len(gs.List) != 2 {
		t.Errorf("a file that differs is not told: %s", rendered(t, gs))
	}
}

// In whatever order results come, the groups are the same.
func TestOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var results []fleet.Result
	for i := range 60 {
		results = append(results, ok(i, fmt.Sprintf("h%d", i%50), fmt.Sprintf("h%d h%d at 12:00:%02d, 10.0.0.%d, pid %d\n",
			i%50, r.IntN(3), r.IntN(5), r.IntN(3), r.IntN(4))))
	}
	for _, o := range []Options{{}, {Masker: mask.New(mask.All)}, {Masker: mask.New(mask.All), Auto: true}, {Masker: mask.New(mask.Of(mask.Host, mask.Time))}} {
		want := members(collect(t, o, results...))
		for range 20 {
			r.Shuffle(len(results), func(i, j int) { results[i], results[j] = results[j], results[i] })
			if got := members(collect(t, o, results...)); got != want {
				t.Fatalf("%+v: %s, want %s", o, got, want)
			}
		}
	}
}

func members(gs *Groups) string {
	var b strings.Builder
	for _, g := range gs.List {
		fmt.Fprint(&b, g.Members, g.Differ)
	}
	return b.String()
}

// Texts beyond the memory are in a file.
func TestSpool(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var results []fleet.Result
	for i := range 100 {
		results = append(results, ok(i, fmt.Sprint("h", i), strings.Repeat(fmt.Sprint(i, "\n"), 100)))
	}
	gs := collect(t, Options{Memory: 1000}, results...)
	if len(gs.List) != 100 || gs.c.texts.file == nil {
		t.Fatalf("%d groups", len(gs.List))
	}
	for i, g := range gs.List {
		if stdout, _, err := gs.Text(g); err != nil || string(stdout) != string(results[i].Stdout.Bytes) {
			t.Fatalf("%v %q", err, stdout)
		}
	}
	t.Setenv("TMPDIR", "/nonexistent")
	gs = collect(t, Options{Memory: 1}, results...)
	if _, _, err := gs.Text(gs.List[0]); err == nil || len(gs.List) != 100 {
		t.Errorf("%d groups, %v", len(gs.List), err)
	}
}

func TestParts(t *testing.T) {
	for _, c := range []struct {
		part func([]byte) ([]byte, bool)
		want string
	}{
		{ByRegexp(regexp.MustCompile(`v\d`)), "v1\nv3\n"},
		{ByRegexp(regexp.MustCompile(`v(\d)`)), "1\n3\n"},
		{ByRegexp(regexp.MustCompile(`x(y)?`)), ""},
		{ByField(1), "a\nb\n"},
		{ByField(-1), "v2\nx\n"},
		{ByField(3), "v2\nx\n"},
		{ByField(4), ""},
	} {
		got, ok := c.part([]byte("a v1 v2\n\nb v3x x"))
		if string(got) != c.want || ok != (c.want != "") {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	gs := collect(t, Options{Part: ByField(2)}, ok(0, "a", "x 1 y\n"), ok(1, "b", "z 1\n"), ok(2, "c", "z\n"), ok(3, "d", ""))
	want(t, gs, "a,b [] a: 1\n", "c,d [] c: ")
	if gs.List[0].NoPart || !gs.List[1].NoPart {
		t.Error("NoPart")
	}
}

func TestDiff(t *testing.T) {
	o := Options{Masker: mask.New(mask.Of(mask.Time, mask.Host))}
	gs := collect(t, o, ok(0, "a", "12:00:00\na\nx\n"), ok(1, "b", "12:00:01\nb\nx\n"), ok(2, "c", "12:00:02\nc\ny\n"), ok(3, "d", "12:00:02\na\nx\n"))
	ref := gs.Of("b")
	d, err := gs.Diff(ref, gs.Of("c"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(d.Streams[0][0].Lines); got != fmt.Sprint([]textdiff.Line{{Op: ' ', Text: "12:00:01\n"}, {Op: ' ', Text: "b\n"}, {Op: '-', Text: "x\n"}, {Op: '+', Text: "y\n"}}) {
		t.Error(got)
	}
	// d has the name of another host; a is with it.
	if d, err = gs.Diff(ref, gs.Of("d")); err != nil || len(d.Streams[0]) != 1 {
		t.Errorf("%+v %v", d, err)
	}
	failed := ok(4, "e", "12:00:00\ne\nx\n")
	failed.Outcome, failed.Status = fleet.OutcomeFailed, 1
	gs = collect(t, o, ok(0, "a", "12:00:00\na\nx\n"), failed)
	if d, err = gs.Diff(gs.List[0], gs.List[1]); err != nil || !d.None() {
		t.Errorf("%+v %v", d, err)
	}
	large := strings.Repeat("x\n", textdiff.MaxText)
	gs = collect(t, Options{}, ok(0, "a", large), ok(1, "b", large+"y\n"))
	if d, err = gs.Diff(gs.List[0], gs.List[1]); err != nil || !d.Large[0] || d.None() {
		t.Errorf("%v %v", d.Large, err)
	}
}

// rebuilt returns the text of each host from places.
func rebuilt(places []Place, hosts []string) map[string]string {
	texts := make(map[string]string)
	for _, p := range places {
		for _, h := range hosts {
			texts[h] += strings.Join(p.Common, "")
		}
		for _, v := range p.Variants {
			for _, m := range v.Members {
				texts[m.Host] += strings.Join(v.Lines, "")
			}
		}
	}
	return texts
}

// The places together are each host's text.
func TestLines(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 50 {
		var results []fleet.Result
		var hosts []string
		for i := range 12 {
			var b strings.Builder
			for n := range 12 {
				switch r.IntN(8) {
				case 0:
				case 1:
					fmt.Fprintf(&b, "other %d\n", r.IntN(3))
				case 2:
					fmt.Fprintf(&b, "line %d\nmore\n", n)
				default:
					fmt.Fprintf(&b, "line %d\n", n)
				}
			}
			hosts = append(hosts, fmt.Sprint("h", i))
			results = append(results, ok(i, hosts[i], b.String()))
		}
		gs := collect(t, Options{}, results...)
		ref := gs.List[r.IntN(len(gs.List))]
		if r.IntN(2) == 0 {
			ref = nil
		}
		places, left, err := gs.Lines(ref, gs.List)
		if err != nil || left != nil {
			t.Fatal(err, left)
		}
		texts := rebuilt(places, hosts)
		for i, h := range hosts {
			if texts[h] != string(results[i].Stdout.Bytes) {
				t.Fatalf("%s:\n%s\nwant\n%s", h, texts[h], results[i].Stdout.Bytes)
			}
		}
	}
}

// A thousand hosts with 900 different answers: common lines once, variants by frequency.
func TestLinesOfMany(t *testing.T) {
	var results []fleet.Result
	for i := range 3 { // the largest group is no base for the others
		results = append(results, ok(i, fmt.Sprint("h", i), ""))
	}
	for i := 3; i < 1000; i++ {
		id := max(i-100, 0)
		results = append(results, ok(i, fmt.Sprint("h", i), fmt.Sprintf("os 1\nid %d\nport %d\nend\n", id, 22+i%2)))
	}
	gs := collect(t, Options{}, results...)
	places, _, err := gs.Lines(nil, gs.List)
	if err != nil {
		t.Fatal(err)
	}
	if len(places) != 4 || len(places[0].Variants) != 2 || len(places[1].Variants) != 901 || len(places[2].Variants) != 3 || len(places[3].Variants) != 2 {
		t.Fatalf("%d places", len(places))
	}
	if v := places[0].Variants; len(v[0].Members) != 997 || v[0].Lines[0] != "os 1\n" || len(v[1].Lines) != 0 {
		t.Errorf("%d, %q, %q", len(v[0].Members), v[0].Lines, v[1].Lines)
	}
	if v := places[1].Variants[0]; len(v.Members) != 98 || v.Lines[0] != "id 0\n" {
		t.Errorf("%+v", v)
	}
	if v := places[2].Variants; len(v[0].Members) != 499 || len(v[1].Members) != 498 || len(v[2].Members) != 3 {
		t.Errorf("%d, %d, %d", len(v[0].Members), len(v[1].Members), len(v[2].Members))
	}
}

func TestOf(t *testing.T) {
	a := ok(0, "2001:db8::7", "x")
	a.Target.Host.User, a.Target.Host.Port = "root", 2222
	gs := collect(t, Options{}, a, ok(1, "b", "y"))
	for _, name := range []string{"root@[2001:db8::7]:2222", "2001:db8::7"} {
		if gs.Of(name) == nil || gs.Of(name).Shown.Index != 0 {
			t.Error(name)
		}
	}
	if gs.Of("b") == nil || gs.Of("c") != nil {
		t.Error("b, c")
	}
}

// Hosts whose outputs are long and quite different fill neither the memory nor the time.
func TestLinesAreBounded(t *testing.T) {
	var results []fleet.Result
	for i := range 18 {
		results = append(results, ok(i, fmt.Sprint("h", i), fmt.Sprintf("%d%s\n", i, strings.Repeat("x", 4<<20-10))))
	}
	gs := collect(t, Options{}, results...)
	if _, left, err := gs.Lines(gs.List[0], gs.List); err != nil || len(left) != 1 {
		t.Errorf("%d of %d are left, %v; want 1, since the others have 64 MiB of lines beside the reference", len(left), len(results), err)
	}
	edits := func(n int) (all [fleet.NumStreams][]edit) {
		for i := range n {
			all[0] = append(all[0], edit{from: i, end: i + 1})
		}
		return all
	}
	b := budget{groups: maxPlaces / 100}
	if !b.take(edits(90)) || b.take(edits(110)) || !b.take(edits(90)) {
		t.Error("the edited lines, times the groups, are not bounded")
	}
}

// Lines of one byte cost more than their text.
func TestBudgetOfShortLines(t *testing.T) {
	lines := slices.Repeat([]string{"\n"}, 1<<20)
	var b budget
	taken := 0
	for b.take([fleet.NumStreams][]edit{{{lines: lines, compared: lines}}}) {
		taken++
	}
	if held := taken << 20 * 32; held > maxEdits || taken == 0 {
		t.Errorf("%d million lines are held", taken)
	}
}
