package simfleet

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
)

func TestParseStartups(t *testing.T) {
	for _, test := range []struct {
		text string
		want Startups
		bad  bool
	}{
		{text: "150:30:200", want: Startups{150, 30, 200}},
		{text: "10:100:10", want: Startups{10, 100, 10}},
		{text: "150", want: Startups{150, 100, 150}},
		{text: "", bad: true},
		{text: "0", bad: true},
		{text: "10:30", bad: true},
		{text: "10:0:100", bad: true},
		{text: "10:101:100", bad: true},
		{text: "100:30:10", bad: true},
		{text: "a:b:c", bad: true},
		{text: "1:2:3:4", bad: true},
	} {
		got, err := ParseStartups(test.text)
		if (err != nil) != test.bad || !test.bad && got != test.want {
			t.Errorf("ParseStartups(%q) = %v, %v, want %v", test.text, got, err, test.want)
		}
	}
}

func FuzzParseStartups(f *testing.F) {
	f.Add("150:30:200")
	f.Add("150")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseStartups(text)
		if err != nil {
			return
		}
		if again, err := ParseStartups(s.String()); err != nil || again != s {
			t.Errorf("%q gave %v, and that %v, %v", text, s, again, err)
		}
	})
}

func TestChance(t *testing.T) {
	for _, test := range []struct {
		limit   Startups
		n, want int
	}{
		{Startups{}, 1_000_000, 0},
		{Startups{150, 30, 200}, 149, 0},
		{Startups{150, 30, 200}, 150, 30},
		{Startups{150, 30, 200}, 175, 65},
		{Startups{150, 30, 200}, 199, 98},
		{Startups{150, 30, 200}, 200, 100},
		{Startups{150, 100, 150}, 149, 0},
		{Startups{150, 100, 150}, 150, 100},
		{Startups{10, 100, 60}, 10, 100},
	} {
		if got := test.limit.chance(test.n); got != test.want {
			t.Errorf("%v: chance(%d) = %d, want %d", test.limit, test.n, got, test.want)
		}
	}
}

func TestGateCountsEachHost(t *testing.T) {
	g := newGate(Startups{2, 100, 2}, rand.New(rand.NewPCG(1, 1)))
	var got []bool
	for _, host := range []int{0, 0, 0, 1, 1, 1} {
		got = append(got, g.enter(host))
	}
	g.leave(0)
	got = append(got, g.enter(0), g.enter(0), g.enter(1))
	want := []bool{true, true, false, true, true, false, true, false, false}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("entering gave %v, want %v", got, want)
		}
	}
	for _, host := range []int{0, 0, 1, 1} {
		g.leave(host)
	}
	if len(g.open) != 0 || g.most() != 2 {
		t.Errorf("%v are left and the most was %d, want none and 2", g.open, g.most())
	}
}

// TestMaxStartups asserts that a host turns away the connection after its last
// one, with sshd's text, and takes one again when a place is free.
func TestMaxStartups(t *testing.T) {
	f := startFleet(t, Options{Hosts: 2, MaxStartups: Startups{1, 100, 1}})
	const begin = "SSH-2.0-"
	greeting := make([]byte, len(begin))
	first := dialTCP(t, f, 0)
	if _, err := io.ReadFull(first, greeting); err != nil || string(greeting) != begin {
		t.Fatalf("the first connection hears %q, %v", greeting, err)
	}
	second, err := io.ReadAll(dialTCP(t, f, 0))
	if string(second) != exceededMaxStartups || err != nil {
		t.Errorf("the second connection hears %q, %v, want %q", second, err, exceededMaxStartups)
	}
	dialSSH(t, f, 1) // another host does not mind
	_ = first.Close()
	for {
		c := dialTCP(t, f, 0)
		_, err := io.ReadFull(c, greeting)
		if err == nil && strings.HasPrefix(string(greeting), "SSH-") {
			break
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if stats := f.Stats(); stats.Dropped < 1 || stats.PeakStartups != 1 {
		t.Errorf("stats are %+v, want a drop and never more than 1 unauthenticated", stats)
	}
}
