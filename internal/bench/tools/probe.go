package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// probeAll makes every tool log in to one host of every target through a relay,
// which records the key exchange, and then to a host with a wrong key in
// known_hosts. It is also the warm-up: programs and libraries are in the page
// cache afterwards.
func (b *bencher) probeAll(ctx context.Context) error {
	wrong, err := newKey(ctx, filepath.Join(b.dir, "wrong_key"))
	if err != nil {
		return err
	}
	for _, tl := range b.tools {
		version := versionOf(ctx, tl, b.settings.shoal)
		for _, t := range b.targets {
			if b.impossible(t, tl) != "" || t.like != "" {
				continue
			}
			p, err := b.probe(ctx, t, tl, wrong)
			if err != nil {
				return err
			}
			p.Version = version
			b.probes = append(b.probes, p)
			if err := b.results.probe(p); err != nil {
				return err
			}
			b.say("%s: %s %s: %s; refuses a wrong host key: %v", t.name, tl.name, p.Version, p.Kex, p.RefusesWrongKey)
		}
	}
	return nil
}

func (b *bencher) probe(ctx context.Context, t *target, tl tool, wrong string) (Probe, error) {
	p := Probe{Target: t.name, Tool: tl.name}
	right, kex, err := b.through(ctx, t, tl, t.known)
	if err != nil {
		return p, err
	}
	p.Kex = kex
	accepted, _, err := b.through(ctx, t, tl, func(int) string { return wrong })
	// A tool that cannot log in at all has not refused the key.
	p.RefusesWrongKey = right && !accepted
	return p, err
}

// through runs the tool on the first host through a relay, with the given key
// in known_hosts. right reports whether the output is correct.
func (b *bencher) through(ctx context.Context, t *target, tl tool, known func(int) string) (right bool, kex string, err error) {
	pl := plan{hosts: hosts(1), port: t.port + relayOffset, known: known}
	r, err := newRelay(ctx, pl.hosts[0]+":"+itoa(pl.port), pl.hosts[0]+":"+itoa(t.port))
	if err != nil {
		return false, "", err
	}
	defer func() { kex = r.close() }()
	j, err := t.newJob(filepath.Join(b.dir, "probe"), pl, tl.kex)
	if err != nil {
		return false, "", err
	}
	took, err := b.start(ctx, tl, b.outfit(j))
	if err != nil {
		return false, "", err
	}
	return tl.answers(took.stdout).correct(j.hosts) == 1, "", nil
}

// outfit adds what all jobs have in common.
func (b *bencher) outfit(j job) job {
	j.fanout, j.shoal = b.settings.Fanout, b.settings.shoal
	j.programs = filepath.Join(b.dir, "programs")
	return j
}

// start runs the tool for a job.
func (b *bencher) start(ctx context.Context, tl tool, j job) (taken, error) {
	var env []string
	if tl.env != nil {
		env = tl.env(j)
	}
	took, err := b.meter.run(ctx, tl.argv(j), env, b.settings.Limit)
	if err != nil && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("running %s: %w", tl.name, err)
	}
	return took, err
}

// kex returns the key exchange that the tool's probe saw; "" if there was none.
func (b *bencher) kex(t *target, tool string) string {
	name := t.name
	if t.like != "" {
		name = t.like
	}
	for _, p := range b.probes {
		if p.Target == name && p.Tool == tool {
			return p.Kex
		}
	}
	return ""
}

// leavesOut reports whether a tool with a fixed key exchange need not be
// measured on t: its default is the same there, it cannot work, or the key
// exchange does not matter for this target.
func (b *bencher) leavesOut(t *target, tl tool) bool {
	if tl.kex == "" {
		return false
	}
	return t.like != "" || b.impossible(t, tl) != "" || b.kex(t, tl.plain) == tl.kex
}

// impossible returns why the tool cannot work on the target; "" if it can.
func (b *bencher) impossible(t *target, tl tool) string {
	if tl.needs != "" && !t.runsPrograms {
		return "needs " + tl.needs + " on the target; the simulated fleet runs no programs"
	}
	return ""
}
