package simfleet

import (
	"errors"
	"regexp"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestAnswer(t *testing.T) {
	answer := func(text string) *Answer {
		a, err := ParseAnswer(text)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	answers := []*Answer{
		answer(`{host} {address} {index} at {date} {time}, pid {pid}, up {uptime}\n{hash} {uuid}:{port}, {size}\t\\`),
		answer(`so far{stderr}no disk{stdout}, and more{exit 3}`),
		nil, answer(``), answer(`a{then 2}b{exit 1}{then 1}c`),
	}
	f := startFleet(t, Options{Hosts: 5, Seed: "answer", Answer: func(i int) *Answer { return answers[i] }})
	run := func(i int) (stdout, stderr string, err error) {
		client := dialSSH(t, f, i)
		defer func() { _ = client.Close() }()
		return runOn(t, client, "echo ran", "")
	}
	for i, want := range []string{
		`^127\.1\.0\.1 127\.1\.0\.1 0 at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}, pid \d+, up \d+ days` + "\n" +
			`[0-9a-f]{40} [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}:\d+, \d+ KiB` + "\t\\\\\n$",
		"^so far, and more\n$", "^ran\n$", "^$",
	} {
		got, stderr, err := run(i)
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%d: %q", i, got)
		}
		exit, failed := errors.AsType[*ssh.ExitError](err)
		if failed != (i == 1) || i == 1 && (exit.ExitStatus() != 3 || stderr != "no disk\n") || i != 1 && err != nil {
			t.Errorf("%d: %q, %v", i, stderr, err)
		}
	}
	for n, want := range []string{"a\n", "a\n", "b\n", "c\n", "c\n"} {
		if got, _, err := run(4); got != want || (err != nil) != (n == 2) {
			t.Errorf("answer %d: %q, %v", n, got, err)
		}
	}
	for _, bad := range []string{"{then 0}", "{then x}", "a{then 1}{x}", "{", "{x}", "{exit}", "{exit 256}", `\x`, `\`} {
		if _, err := ParseAnswer(bad); err == nil {
			t.Errorf("%q", bad)
		}
	}
}

func TestShares(t *testing.T) {
	parts, err := Shares(1000, 0.9, 0.08, 0.015)
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[int]int)
	for _, p := range parts {
		count[p]++
	}
	if count[0] != 900 || count[1] != 80 || count[2] != 15 || count[-1] != 5 {
		t.Errorf("%v", count)
	}
	again, _ := Shares(1000, 0.9, 0.08, 0.015)
	for i := range parts {
		if parts[i] != again[i] {
			t.Fatal("another order")
		}
	}
	for _, bad := range [][]float64{{-0.1}, {1.1}, {0.6, 0.6}} {
		if _, err := Shares(10, bad...); err == nil {
			t.Errorf("%v", bad)
		}
	}
}
