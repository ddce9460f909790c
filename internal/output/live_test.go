package output

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"shoal/fleet"
)

// both returns a Live whose two streams share one buffer, as on a terminal.
func both(escape, colour bool) (*Live, *bytes.Buffer) {
	var b bytes.Buffer
	out := Out{W: &b, Escape: escape, Colour: colour}
	return NewLive(LiveOptions{Stdout: out, Stderr: out}), &b
}

func TestLiveGolden(t *testing.T) {
	for name, c := range map[string]struct{ escape, colour bool }{
		"live.txt": {true, false}, "live-colour.txt": {true, true},
	} {
		live, b := both(c.escape, c.colour)
		for _, r := range append(everyEnd(), ok(12, hostile)) {
			if err := live.Result(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := live.Close(); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
}

func TestLiveStreamsApart(t *testing.T) {
	var stdout, stderr bytes.Buffer
	live := NewLive(LiveOptions{Stdout: Out{W: &stdout}, Stderr: Out{W: &stderr}})
	if err := live.Result(ended(0, exit(3), hostile, "warning\nlast")); err != nil {
		t.Fatal(err)
	}
	want := "node1: " + strings.ReplaceAll(hostile, "\n", "\nnode1: ") + "\n"
	if stdout.String() != want {
		t.Errorf("stdout:\n got %q\nwant %q", stdout.String(), want)
	}
	if got := stderr.String(); got != "node1: warning\nnode1: last\nshoal: node1: exit status 3\n" {
		t.Errorf("stderr: %q", got)
	}
}

func TestLiveAlign(t *testing.T) {
	named := func(name string, index int) fleet.Result {
		r := ok(index, name+" says\ntwice\n")
		r.Target.Host = fleet.Host{Name: name}
		r.Stderr = fleet.Output{Bytes: []byte("no\n"), Size: 3}
		return r
	}
	results := []fleet.Result{named("db1", 0), named("frontend1", 1)}
	targets := func(yield func(fleet.Target) bool) {
		for _, r := range results {
			if !yield(r.Target) {
				return
			}
		}
	}
	var stdout, stderr bytes.Buffer
	live := NewLive(LiveOptions{Stdout: Out{W: &stdout, Escape: true}, Stderr: Out{W: &stderr}, Align: Align(targets)})
	for _, r := range results {
		if err := live.Result(r); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := stdout.String(), "db1:       db1 says\ndb1:       twice\nfrontend1: frontend1 says\nfrontend1: twice\n"; got != want {
		t.Errorf("a terminal shows\n%swant\n%s", got, want)
	}
	if got, want := stderr.String(), "db1: no\nfrontend1: no\n"; got != want {
		t.Errorf("a pipe has %q, want %q", got, want)
	}
	results[0].Target.Host.Name = strings.Repeat("x", maxAlign+1)
	if got := Align(targets); got != 0 {
		t.Errorf("a long name: %d", got)
	}
}

func TestLiveTimestamps(t *testing.T) {
	var b bytes.Buffer
	out := Out{W: &b}
	at := time.Date(2026, 11, 29, 3, 4, 5, 6_700_000, time.FixedZone("", 3600))
	live := NewLive(LiveOptions{Stdout: out, Stderr: out, NoPrefix: true, Now: func() time.Time { return at }})
	if err := live.Result(ended(0, exit(3), "a\nb", "")); err != nil {
		t.Fatal(err)
	}
	const stamp = "2026-11-29T03:04:05.006+01:00 "
	if got, want := b.String(), stamp+"a\n"+stamp+"b\n"+stamp+"shoal: node1: exit status 3\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLiveNoPrefix(t *testing.T) {
	for escape, want := range map[bool]string{
		false: "a\r\nb\x1bno end" + "second",
		true:  "a\nb\\x1bno end\nsecond\n",
	} {
		var stdout bytes.Buffer
		live := NewLive(LiveOptions{Stdout: Out{W: &stdout, Escape: escape}, NoPrefix: true})
		live.Follow(target(0), 1, fleet.Stdout, []byte("a\r\nb\x1bno"))
		for _, r := range []fleet.Result{ok(0, "a\r\nb\x1bno end"), ok(1, "second")} {
			if err := live.Result(r); err != nil {
				t.Fatal(err)
			}
		}
		if stdout.String() != want {
			t.Errorf("escape %t: %q, want %q", escape, stdout.String(), want)
		}
	}
}

func TestLiveFollowPrintsWholeLinesAtOnce(t *testing.T) {
	live, b := both(true, false)
	step := func(want string) {
		t.Helper()
		if b.String() != want {
			t.Errorf("%q, want %q", b.String(), want)
		}
		b.Reset()
	}
	live.Follow(target(0), 1, fleet.Stdout, []byte("on"))
	step("")
	live.Follow(target(1), 1, fleet.Stdout, []byte("other\r"))
	step("")
	live.Follow(target(0), 1, fleet.Stdout, []byte("e\ntwo\nthr"))
	step("node1: one\nnode1: two\n")
	live.Follow(target(0), 1, fleet.Stderr, []byte("warn\n"))
	step("node1: warn\n")
	live.Follow(target(1), 1, fleet.Stdout, []byte("\n"))
	step("node2: other\n")
	if err := live.Result(ended(0, exit(0), "one\ntwo\nthree\nfour", "warn\nmore")); err != nil {
		t.Fatal(err)
	}
	step("node1: three\nnode1: four\nnode1: more\nshoal: node1: exit status 0\n")
	if len(live.seen) != 1 {
		t.Errorf("%d targets are still followed", len(live.seen))
	}
}

// The output is the same however the bytes are split, and whatever part was followed.
func TestLiveFollowedOrNot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{
			"\n", "\r\n", "word", "\x1b", "日本", "\xff",
			strings.Repeat("é", maxLine/2-1), strings.Repeat("x", maxLine),
		}), 0, 8).Draw(t, "output")
		text := strings.Join(lines, "")
		escape, noPrefix := rapid.Bool().Draw(t, "escape"), rapid.Bool().Draw(t, "no prefix")
		show := func(follow bool) string {
			var b bytes.Buffer
			live := NewLive(LiveOptions{Stdout: Out{W: &b, Escape: escape}, NoPrefix: noPrefix})
			for rest := text; follow && rest != ""; {
				n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
				if rapid.IntRange(0, 5).Draw(t, "stop") == 0 {
					break
				}
				live.Follow(target(0), 1, fleet.Stdout, []byte(rest[:n]))
				if partial := live.seen[0].streams[0].partial; len(partial) > maxLine {
					t.Fatalf("holds %d bytes", len(partial))
				}
				rest = rest[n:]
			}
			if err := live.Result(ok(0, text)); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		if followed, whole := show(true), show(false); followed != whole {
			t.Fatalf("followed %.200q, at once %.200q", followed, whole)
		}
	})
}

// faults.md: S10
func TestLiveLongLines(t *testing.T) {
	long := strings.Repeat("é", maxLine) // twice maxLine bytes
	live, b := both(true, false)
	if err := live.Result(ok(0, "x"+long+"\n")); err != nil {
		t.Fatal(err)
	}
	half := strings.Repeat("é", maxLine/2)
	want := "node1: x" + half[:maxLine-2] + "…\nnode1: " + half + "…\nnode1: é\n"
	if b.String() != want {
		t.Errorf("broken into %d bytes, want %d", b.Len(), len(want))
	}
	live, b = both(false, false)
	live.Follow(target(0), 1, fleet.Stdout, []byte("first\n"+long))
	live.Follow(target(0), 1, fleet.Stdout, []byte(long))
	if live.seen[0].streams[0].partial != nil || b.String() != "node1: first\n" {
		t.Errorf("holds %d bytes, printed %.40q", len(live.seen[0].streams[0].partial), b.String())
	}
	if err := live.Result(ok(0, "first\n"+long+long+"\nlast")); err != nil {
		t.Fatal(err)
	}
	if want := "node1: first\nnode1: " + long + long + "\nnode1: last\n"; b.String() != want {
		t.Errorf("raw line is not exact: %d bytes, want %d", b.Len(), len(want))
	}
}

// Output followed beyond the cap of the capture stays printed, and nothing is printed
// twice.
func TestLiveFollowedBeyondTheCap(t *testing.T) {
	live, b := both(false, false)
	live.Follow(target(0), 1, fleet.Stdout, []byte("one\ntwo\nthree\nfo"))
	r := ok(0, "one\n")
	r.Stdout.Size = 16
	if err := live.Result(r); err != nil {
		t.Fatal(err)
	}
	if want := "node1: one\nnode1: two\nnode1: three\nnode1: fo\n"; b.String() != want {
		t.Errorf("%q", b.String())
	}
}

// A retry is another attempt with output of its own: it is shown from its first byte, on a
// line of its own, and what the failed attempt had printed stays and is told.
func TestLiveRetry(t *testing.T) {
	const note = "shoal: node1: attempt 1 failed; %d bytes of its output were shown, which do not belong to the result\n"
	for name, c := range map[string]struct {
		escape, noPrefix bool
		followed         []string // of attempt 2
		attempt          int      // of the result
		result           string
		want             string
		shown            int
	}{
		"shorter":             {result: "new\n", attempt: 2, want: "node1: old\nnode1: part\nnode1: new\n", shown: 8},
		"longer":              {escape: true, result: "new\nand longer than the old\n", attempt: 2, want: "node1: old\nnode1: part\nnode1: new\nnode1: and longer than the old\n", shown: 8},
		"followed too":        {followed: []string{"ne", "w\nla"}, result: "new\nlast", attempt: 2, want: "node1: old\nnode1: part\nnode1: new\nnode1: last\n", shown: 8},
		"the same":            {followed: []string{"old\npart"}, result: "old\npart", attempt: 2, want: "node1: old\nnode1: part\nnode1: old\nnode1: part\n", shown: 8},
		"exact bytes":         {noPrefix: true, followed: []string{"ne"}, result: "new", attempt: 2, want: "old\nnew", shown: 4},
		"no prefix, terminal": {noPrefix: true, escape: true, result: "new", attempt: 2, want: "old\npart\nnew\n", shown: 8},
		"without output":      {attempt: 2, want: "node1: old\nnode1: part\n", shown: 8},
		"not tried again":     {attempt: 1, want: "node1: old\nnode1: part\n", shown: 8},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			live := NewLive(LiveOptions{Stdout: Out{W: &stdout, Escape: c.escape}, Stderr: Out{W: &stderr}, NoPrefix: c.noPrefix})
			live.Follow(target(0), 1, fleet.Stdout, []byte("old\npart"))
			for _, fresh := range c.followed {
				live.Follow(target(0), 2, fleet.Stdout, []byte(fresh))
			}
			r := ok(0, c.result)
			r.Attempt = c.attempt
			if err := live.Result(r); err != nil {
				t.Fatal(err)
			}
			if stdout.String() != c.want {
				t.Errorf("%q, want %q", stdout.String(), c.want)
			}
			if want := fmt.Sprintf(note, c.shown); stderr.String() != want {
				t.Errorf("stderr %q, want %q", stderr.String(), want)
			}
		})
	}
	var stdout, stderr bytes.Buffer
	live := NewLive(LiveOptions{Stdout: Out{W: &stdout}, Stderr: Out{W: &stderr}, NoPrefix: true})
	live.Follow(target(0), 1, fleet.Stdout, []byte("part"))
	r := ok(0, "new")
	r.Attempt = 2
	if err := live.Result(r); err != nil || stdout.String() != "new" || stderr.String() != "" {
		t.Errorf("of a failed attempt nothing was printed: %q, %q, %v", stdout.String(), stderr.String(), err)
	}
}

func TestLiveConcurrently(t *testing.T) {
	live, b := both(false, false)
	var wg sync.WaitGroup
	const hosts, lines = 8, 50
	for i := range hosts {
		wg.Go(func() {
			whole := ""
			for n := range lines {
				line := fmt.Sprintf("%d from %d\n", n, i)
				whole += line
				live.Follow(target(i), 1, fleet.Stdout, []byte(line[:3]))
				live.Follow(target(i), 1, fleet.Stdout, []byte(line[3:]))
			}
			if err := live.Result(ok(i, whole)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	next := make(map[string]int)
	for line := range strings.Lines(b.String()) {
		var node, n, i int
		if _, err := fmt.Sscanf(line, "node%d: %d from %d\n", &node, &n, &i); err != nil || node != i+1 {
			t.Fatalf("%q: %v", line, err)
		}
		if host := fmt.Sprint(i); next[host] != n {
			t.Fatalf("%q comes where %d was next", line, next[host])
		} else {
			next[host]++
		}
	}
	if len(next) != hosts || next["0"] != lines {
		t.Errorf("%v", next)
	}
}

// faults.md: R12
func TestLiveClosedPipe(t *testing.T) {
	stdout := &failing{after: 12, err: syscall.EPIPE}
	var stderr bytes.Buffer
	live := NewLive(LiveOptions{Stdout: Out{W: stdout}, Stderr: Out{W: &stderr}})
	if err := live.Result(ok(0, "a\n")); err != nil {
		t.Fatal(err)
	}
	err := live.Result(ok(1, "long line\n"))
	if !errors.Is(err, syscall.EPIPE) || err.Error() != "writing to stdout: broken pipe" {
		t.Errorf("%v", err)
	}
	// Nothing more is written to the broken stream; the other still works.
	err = live.Result(ended(2, exit(1), "", "b\n"))
	if !errors.Is(err, syscall.EPIPE) || stderr.String() != "node3: b\nshoal: node3: exit status 1\n" {
		t.Errorf("%v, stderr %q", err, stderr.String())
	}
	live.Follow(target(3), 1, fleet.Stdout, []byte("c\n"))
	if err := live.Close(); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("at Close: %v", err)
	}
	if stdout.String() != "node1: a\n" {
		t.Errorf("stdout %q", stdout.String())
	}
}

func FuzzLive(f *testing.F) {
	f.Add([]byte(hostile), 5)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		live, b := both(true, false)
		cut = min(max(cut, 0), len(text))
		live.Follow(target(0), 1, fleet.Stdout, text[:cut])
		if err := live.Result(ok(0, string(text))); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if !strings.HasPrefix(line, "node1: ") || strings.ContainsAny(line, "\r\x1b\u009b\u202e\u2028") {
				t.Fatalf("%q shows %q", text, line)
			}
		}
	})
}

func BenchmarkLive(b *testing.B) {
	live := NewLive(LiveOptions{Stdout: Out{W: &failing{after: -1}, Escape: true}})
	r := ok(0, "hello world 0\n")
	b.ReportAllocs()
	for b.Loop() {
		_ = live.Result(r)
	}
}

// A flood of failures with one cause is told by its first lines; what else is special about
// a target is told all the same.
func TestLiveBrief(t *testing.T) {
	var stdout, stderr bytes.Buffer
	l := NewLive(LiveOptions{Stdout: Out{W: &stdout}, Stderr: Out{W: &stderr}, Brief: true})
	for i := range 1000 {
		e := fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonInterrupted, Phase: fleet.PhaseRun}
		switch {
		case i%4 == 1:
			e = exit(1)
		case i == 999:
			e.Flags = fleet.FlagOutputIncomplete
		}
		if err := l.Result(ended(i, e, "out\n", "")); err != nil {
			t.Fatal(err)
		}
	}
	want := `shoal: node1: unknown: interrupted in run, the command may have run
shoal: node2: exit status 1
shoal: node3: unknown: interrupted in run, the command may have run
shoal: node4: unknown: interrupted in run, the command may have run
shoal: … and more of interrupted
shoal: node6: exit status 1
shoal: node10: exit status 1
shoal: … and more of exit status 1
shoal: node1000: output may be incomplete: 4 B of stdout came
`
	if got := stderr.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if n := strings.Count(stdout.String(), ": out\n"); n != 1000 {
		t.Errorf("%d outputs", n)
	}
}

// Our own lines are broken between words where the terminal ends; those of hosts are theirs.
func TestLiveBreaksItsOwnLines(t *testing.T) {
	var out bytes.Buffer
	to := Out{W: &out, Escape: true, Columns: func() int { return 40 }}
	l := NewLive(LiveOptions{Stdout: to, Stderr: to})
	e := neverStarted(fleet.ReasonAuthFailed, fleet.PhaseAuth, "user \"root\" was not let in")
	if err := l.Result(ended(0, e, strings.Repeat("a long line ", 5)+"\n", "")); err != nil {
		t.Fatal(err)
	}
	want := "node1: " + strings.Repeat("a long line ", 5) + "\nshoal: node1: never started: auth_failed\n  in auth: user \"root\" was not let in\n"
	if got := out.String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
