package output

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"shoal/fleet"
	"shoal/internal/needs"
)

// gatheredLines returns a GatheredLines of n targets and what it has printed since the last
// call.
func gatheredLines(o GatheredLinesOptions) (g *GatheredLines, stdout, stderr func() string) {
	var out, errs bytes.Buffer
	take := func(b *bytes.Buffer) func() string {
		return func() string {
			defer b.Reset()
			return b.String()
		}
	}
	o.Stdout.W, o.Stderr.W = &out, &errs
	return NewGatheredLines(o), take(&out), take(&errs)
}

func want(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A line appears as soon as all its hosts have sent it, or ended without it.
func TestGatheredLines(t *testing.T) {
	g, stdout, stderr := gatheredLines(GatheredLinesOptions{Targets: 3})
	follow := func(i int, s fleet.Stream, text string) { g.Follow(target(i), 1, s, []byte(text)) }
	follow(0, fleet.Stdout, "one\ntwo\n")
	follow(2, fleet.Stdout, "one\nzw")
	want(t, stdout(), "")
	follow(1, fleet.Stdout, "one\n")
	want(t, stdout(), "node[1-3]: one\n")
	follow(2, fleet.Stdout, "ei\n")
	want(t, stdout(), "")
	follow(2, fleet.Stderr, "an error\n")
	want(t, stderr(), "node3: an error\n")
	if err := g.Result(ok(1, "one\n")); err != nil { // it ends without a second line
		t.Fatal(err)
	}
	want(t, stdout(), "node1: two\nnode3: zwei\n")
	if err := g.Result(ended(2, exit(3), "one\nzwei\ntwo\nno end", "an error\n")); err != nil {
		t.Fatal(err)
	}
	want(t, stdout(), "")
	if err := g.Result(ok(0, "one\ntwo\n")); err != nil {
		t.Fatal(err)
	}
	want(t, stdout(), "node3: two\nnode3: no end\n")
	want(t, stderr(), "")
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, stdout(), "")
	want(t, stderr(), "shoal: node3: exit status 3\n")
}

// Largest groups first; both streams if standard error is gathered too; the ends of many
// once.
func TestGatheredLinesApart(t *testing.T) {
	g, stdout, stderr := gatheredLines(GatheredLinesOptions{Targets: 5, Apart: true})
	for i, text := range []string{"b\n", "a\n", "b\n", "\xff\r\n"} {
		if err := g.Result(ended(i, exit(1), text, "no "+text[:1]+"\n")); err != nil {
			t.Fatal(err)
		}
	}
	want(t, stdout()+stderr(), "")
	if err := g.Result(ended(4, neverStarted(fleet.ReasonDialTimeout, fleet.PhaseDial, "no answer"), "", "")); err != nil {
		t.Fatal(err)
	}
	want(t, stdout(), "node[1,3]: b\nnode2: a\nnode4: \xff\r\n")
	want(t, stderr(), "node[1,3]: no b\nnode2: no a\nnode4: no \xff\n")
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, stderr(), "shoal: node[1-4] (4): exit status 1\nshoal: node5: never started: dial_timeout in dial: no answer\n")
}

// An attempt that failed takes its lines back, except those that were printed.
func TestGatheredLinesAttempts(t *testing.T) {
	g, stdout, stderr := gatheredLines(GatheredLinesOptions{Targets: 2})
	g.Follow(target(0), 1, fleet.Stdout, []byte("one\ntwo\n"))
	g.Follow(target(1), 1, fleet.Stdout, []byte("one\n"))
	want(t, stdout(), "node[1-2]: one\n")
	g.Follow(target(0), 2, fleet.Stdout, []byte("ONE\n"))
	want(t, stdout(), "node1: ONE\n")
	want(t, stderr(), "shoal: node1: attempt 1 failed; 4 bytes of its output were shown, which do not belong to the result\n")
	r := ok(0, "ONE\n")
	r.Attempt = 2
	if err := errors.Join(g.Result(r), g.Result(ok(1, "one\nzwei\n")), g.Close()); err != nil {
		t.Fatal(err)
	}
	want(t, stdout(), "node2: zwei\n")
	want(t, stderr(), "")
	if g.memory != 0 {
		t.Errorf("%d bytes count as held at the end", g.memory)
	}
}

// Lines that wait for a slow host are printed without it when they are too many; a line too
// long to be kept twice comes from the result.
func TestGatheredLinesMemory(t *testing.T) {
	const memory = 8 * (rowSize + 2*memberSize)
	g, stdout, _ := gatheredLines(GatheredLinesOptions{Targets: 3, Memory: memory})
	for n := range 20 {
		for i := range 2 {
			g.Follow(target(i), 1, fleet.Stdout, fmt.Appendf(nil, "line %d\n", n))
		}
	}
	if got := stdout(); !strings.HasPrefix(got, "node[1-2]: line 0\nnode[1-2]: line 1\n") || g.memory > memory {
		t.Errorf("%q, %d bytes", got, g.memory)
	}
	g.Follow(target(2), 1, fleet.Stdout, []byte("line 0\n"))
	want(t, stdout(), "node3: line 0\n")
	long := strings.Repeat("x", 3*maxLine)
	g.Follow(target(2), 1, fleet.Stdout, []byte(long))
	if held := len(g.seen[2].streams[0].partial); held != 0 {
		t.Errorf("%d bytes held", held)
	}
	if err := g.Result(ok(2, "line 0\n"+long+"\n")); err != nil {
		t.Fatal(err)
	}
	if got := stdout(); !strings.HasPrefix(got, "node3: "+long+"\nnode[1-2]: line ") {
		t.Errorf("%.50q, %d bytes", got, len(got))
	}
	if err := g.Close(); err != nil || g.memory != 0 {
		t.Error(err, g.memory)
	}
}

// A host that sends nothing but line ends takes no more memory than others: each line costs more than
// its text.
func TestGatheredLinesOfNothing(t *testing.T) {
	const memory = 1 << 20
	g, _, _ := gatheredLines(GatheredLinesOptions{Targets: 2, Memory: memory})
	for range 100 {
		g.Follow(target(0), 1, fleet.Stdout, bytes.Repeat([]byte{'\n'}, 100))
	}
	if rows := len(g.columns[fleet.Stdout].lines); rows > memory/400 || rows == 0 {
		t.Errorf("%d lines wait, which take some 440 bytes each, within %d bytes", rows, memory)
	}
	if err := g.Close(); err != nil || g.memory != 0 {
		t.Error(err, g.memory)
	}
}

// Nothing of a host reaches a terminal as it is, and a closed pipe is an error.
// faults.md: S11
func TestGatheredLinesEscape(t *testing.T) {
	g, stdout, _ := gatheredLines(GatheredLinesOptions{Stdout: Out{Escape: true}})
	if err := errors.Join(g.Result(ok(0, hostile)), g.Close()); err != nil {
		t.Fatal(err)
	}
	if got := stdout(); strings.ContainsAny(got, "\x1b\r\a\x00") || strings.Count(got, "node1: ") != 3+strings.Count(hostile, "\n") || !strings.Contains(got, "node1: CRLF\n") {
		t.Errorf("%q", got)
	}
	g = NewGatheredLines(GatheredLinesOptions{Stdout: Out{W: &failing{err: syscall.EPIPE}}})
	if err := errors.Join(g.Result(ok(0, "x\n")), g.Close()); !errors.Is(err, syscall.EPIPE) {
		t.Error(err)
	}
}

// clush -bL prints the same.
func TestGatheredLinesAsClush(t *testing.T) {
	clush := needs.Program(t, "clush")
	const script = `n=%h; n=${n#node}; echo all; echo $((n % 3)); if [ $n -gt 5 ]; then echo "more of $((n % 2))"; fi; if [ $n = 4 ]; then echo only; echo last; fi`
	const hosts = 12
	run := exec.CommandContext(t.Context(), clush, "-R", "exec", "-w", fmt.Sprintf("node[1-%d]", hosts), "-bL", strings.ReplaceAll(script, " % ", " %% "))
	run.Env = append(run.Environ(), "HOME="+t.TempDir())
	theirs, err := run.Output()
	if err != nil {
		t.Fatal(err)
	}
	g, stdout, _ := gatheredLines(GatheredLinesOptions{Targets: hosts})
	for i := range hosts {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(script, "%h", fmt.Sprint("node", i+1))).Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Result(ok(i, string(out))); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, stdout(), string(theirs))
}

func BenchmarkGatheredLines(b *testing.B) {
	const hosts = 1000
	b.ReportAllocs()
	b.SetBytes(hosts * 12)
	g := NewGatheredLines(GatheredLinesOptions{Targets: hosts})
	for b.Loop() {
		for i := range hosts {
			g.Follow(target(i), 1, fleet.Stdout, []byte("hello world\n"))
		}
	}
}
