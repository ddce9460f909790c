package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnswers(t *testing.T) {
	const a, b = "127.1.0.1", "127.1.0.2"
	for _, test := range []struct {
		name string
		read func([]byte) answers
		out  string
		want answers
	}{
		{
			"a prefix", prefixed(": "), "127.1.0.2: hello world 127.1.0.2\n127.1.0.1: hello world 127.1.0.1\n",
			answers{a: {want(a)}, b: {want(b)}},
		},
		{"a prefix with a port", prefixed(": "), "127.1.0.1:2201: hello world 127.1.0.1\n", answers{a: {want(a)}}},
		{"a tab, and a terminal's line end", prefixed("\t"), "127.1.0.1\thello world 127.1.0.1\r\n", answers{a: {want(a)}}},
		{"two lines of one host", prefixed(": "), "127.1.0.1: hello\n127.1.0.1: world\n", answers{a: {"hello", "world"}}},
		{"no prefix at all", prefixed(": "), "hello world 127.1.0.1\n", answers{}},
		{"bare lines", bare, "hello world 127.1.0.2\nhello world 127.1.0.1\n", answers{a: {want(a)}, b: {want(b)}}},
		{
			"pssh -i", blocks,
			"[1] 13:39:52 [FAILURE] 127.1.0.1 Exited with error code 255\nStderr: reset\n[2] 13:39:52 [SUCCESS] 127.1.0.2\nhello world 127.1.0.2\n",
			answers{b: {want(b)}},
		},
		{
			"ansible -o", oneLine,
			"127.1.0.1 | CHANGED | rc=0 | (stdout) hello world 127.1.0.1\\r\\n\n127.1.0.2 | CHANGED | rc=0 | (stdout) hello world 127.1.0.2\n",
			answers{a: {want(a)}, b: {want(b)}},
		},
		{
			"ansible -o, failures", oneLine,
			"127.1.0.1 | UNREACHABLE!: Failed to connect\n127.1.0.2 | FAILED | rc=1 | (stdout) hello world 127.1.0.2\n",
			answers{},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.read([]byte(test.out))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestCorrect(t *testing.T) {
	all := hosts(5)
	given := answers{
		all[0]:      {want(all[0])},
		all[1]:      {want(all[0])},               // another host's
		all[2]:      {want(all[2]), want(all[2])}, // twice
		all[3]:      {"motd", want(all[3])},
		"127.9.9.9": {want("127.9.9.9")}, // not asked
	}
	if got := given.correct(all); got != 1 {
		t.Errorf("%d correct, want 1: %v", got, given)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte("127.1.0.1: hello world 127.1.0.1\n"))
	f.Add([]byte("[1] 13:39:52 [SUCCESS] 127.1.0.1\nhello world 127.1.0.1\n"))
	f.Add([]byte(`127.1.0.1 | CHANGED | rc=0 | (stdout) hello world 127.1.0.1\r\n`))
	one := hosts(1)
	f.Fuzz(func(t *testing.T, out []byte) {
		for name, read := range map[string]func([]byte) answers{
			"prefixed": prefixed(": "), "bare": bare, "blocks": blocks, "oneLine": oneLine,
		} {
			a := read(out)
			if n := a.correct(one); n == 1 && len(a[one[0]]) != 1 {
				t.Errorf("%s takes %q for one right line: %q", name, out, a[one[0]])
			}
		}
	})
}
