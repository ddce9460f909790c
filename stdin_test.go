package shoal_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"shoal"
	"shoal/fleet"
	"shoal/simfleet"
)

// counting counts the bytes that are read.
type counting struct {
	*bytes.Reader
	read atomic.Int64
}

func (c *counting) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.Reader.ReadAt(p, at)
	c.read.Add(int64(n))
	return n, err
}

func random(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(p)
	return p
}

func sum(p []byte) string { return fmt.Sprintf("%x  -\n", sha256.Sum256(p)) }

// Every host gets the same bytes, and may stop reading early.
func TestStdin(t *testing.T) {
	fl, opts := sim(t, simfleet.Options{Hosts: 50})
	for _, c := range []struct {
		size    int
		command string
		want    func(p []byte) string
	}{
		{10 << 20, "sha256sum", sum},
		{0, "sha256sum", sum},
		{1, "cat", func(p []byte) string { return string(p) }},
		{1 << 20, "head -c 1024", func(p []byte) string { return string(p[:1024]) }},
		{1 << 20, "echo early", func([]byte) string { return "early\n" }},
	} {
		p := random(c.size)
		opts.Stdin = bytes.NewReader(p)
		for _, res := range collect(t, shoal.Run(t.Context(), fl.Targets(), c.command, opts)) {
			if res.Outcome != fleet.OutcomeOK || string(res.Stdout.Bytes) != c.want(p) {
				t.Fatalf("%s, %d bytes, %s: %v, %.100q, %v", c.command, c.size, res.Target.Host, res.Outcome, res.Stdout.Bytes, res.Err)
			}
		}
	}
}

// A host that does not read holds up no other, and what is read ahead for it is bounded.
func TestStdinIsNotRead(t *testing.T) {
	targets, opts, _ := far(t)
	opts.Journal = nil
	opts.Timeouts.Alive, opts.Remote.Dir = -1, ""
	p := random(10 << 20)
	in := &counting{Reader: bytes.NewReader(p)}
	opts.Stdin = in
	const hosts = 6
	several := func(yield func(shoal.Target) bool) {
		for target := range targets {
			for i := range hosts {
				if target.Index = i; !yield(target) {
					return
				}
			}
		}
	}
	stuck := make(chan struct{})
	opts.Output = func(target shoal.Target, _ fleet.Stream, _ []byte) {
		if target.Index == 0 {
			close(stuck)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	command := "[ {index} = 0 ] && echo stuck && exec sleep 1000; sha256sum"
	ok := 0
	for res, err := range shoal.Run(ctx, several, command, opts) {
		switch {
		case err != nil:
			t.Fatal(err)
		case res.Target.Index == 0:
			if res.Outcome != fleet.OutcomeUnknown || res.Reason != fleet.ReasonInterrupted {
				t.Errorf("the one that does not read: %v, %v", res.Outcome, res.Err)
			}
			continue
		case res.Outcome != fleet.OutcomeOK || string(res.Stdout.Bytes) != sum(p):
			t.Errorf("%d: %v, %q, %v", res.Target.Index, res.Outcome, res.Stdout.Bytes, res.Err)
		}
		if ok++; ok == hosts-1 {
			<-stuck
			cancel()
		}
	}
	// Once for the digest, once for each that reads, and sshd's window and buffers.
	if most := int64(hosts)*in.Size() + 4<<20; in.read.Load() > most {
		t.Errorf("%d bytes were read, more than %d", in.read.Load(), most)
	}
}

type broken struct{ *bytes.Reader }

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("broken disk") }

// An input that cannot be read starts no host.
func TestStdinBroken(t *testing.T) {
	fl, opts := sim(t, simfleet.Options{Hosts: 3})
	opts.Stdin = broken{bytes.NewReader(random(10))}
	for _, err := range shoal.Run(t.Context(), fl.Targets(), "cat", opts) {
		if err == nil || !strings.Contains(err.Error(), "after 0 bytes: broken disk") {
			t.Errorf("%v", err)
		}
	}
	if n := len(fl.Log()); n != 0 {
		t.Errorf("%d commands were run", n)
	}
}

// A run is repeated, or gone on with, only with the standard input that it had.
func TestStdinAgain(t *testing.T) {
	targets, opts, gate := far(t)
	opts.Remote.Once = true
	again := func(in shoal.Input) error {
		o := opts
		o.Stdin = in
		for res, err := range opts.Journal.Rerun(t.Context(), "last", "failed", o) {
			if err != nil {
				return err
			}
			if string(res.Stdout.Bytes) != "input" {
				t.Errorf("%v, %q", res.Outcome, res.Stdout.Bytes)
			}
		}
		return nil
	}
	first := opts
	first.Stdin = strings.NewReader("input")
	if got := collect(t, shoal.Run(t.Context(), targets, "cat; [ -e "+gate+" ]", first)); len(got) != 1 || string(got[0].Stdout.Bytes) != "input" {
		t.Fatalf("%+v", got)
	}
	for want, in := range map[string]shoal.Input{"is needed again": nil, "is not that of the run": strings.NewReader("Input")} {
		if err := again(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := again(strings.NewReader("input")); err != nil {
		t.Error(err)
	}

	stopped := make(chan struct{})
	close(stopped)
	first.Drain = stopped
	if got := collect(t, shoal.Run(t.Context(), targets, "cat", first)); len(got) != 1 || got[0].Outcome != fleet.OutcomeCancelled {
		t.Fatalf("%+v", got)
	}
	for _, err := range opts.Journal.Resume(t.Context(), "last", opts) {
		if err == nil || !strings.Contains(err.Error(), "is needed again") {
			t.Errorf("resumed without its input: %v", err)
		}
	}
	first.Drain = nil
	if got := collect(t, opts.Journal.Resume(t.Context(), "last", first)); len(got) != 1 || string(got[0].Stdout.Bytes) != "input" {
		t.Errorf("resumed: %+v", got)
	}
}

// A detached command gets its input too.
func TestStdinDetached(t *testing.T) {
	targets, opts, _ := far(t)
	opts.Remote.Detach = true
	p := random(3 << 20)
	opts.Stdin = bytes.NewReader(p)
	if got := collect(t, shoal.Run(t.Context(), targets, "sha256sum", opts)); len(got) != 1 || got[0].Outcome != fleet.OutcomeDetached {
		t.Fatalf("%+v", got)
	}
	opts.Stdin = nil
	if got := collect(t, opts.Journal.Collect(t.Context(), "last", true, opts)); len(got) != 1 || string(got[0].Stdout.Bytes) != sum(p) {
		t.Errorf("%+v", got)
	}
}
