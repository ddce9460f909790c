package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// probeAll has every tool log in to one host of every target through a relay,
// which sees the key exchange, and then to one whose key known_hosts has wrong.
// It is a warm-up too: programs and libraries are in memory afterwards.
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
	// A tool that cannot log in at all has refused nothing.
	p.RefusesWrongKey = right && !accepted
	return p, err
}

// through runs the tool on the first host through a relay, with the key given
// as the host's in known_hosts; right says that the output is.
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

// outfit adds what is the same for all jobs.
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

// kex gives the key exchange that the probe of the tool has seen; "" when there
// was none.
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

// leavesOut says that nothing would be learnt from a tool whose key exchange is
// chosen: without it, it chooses the same here, or cannot work, or the key
// exchange is not what this target is about.
func (b *bencher) leavesOut(t *target, tl tool) bool {
	if tl.kex == "" {
		return false
	}
	return t.like != "" || b.impossible(t, tl) != "" || b.kex(t, tl.plain) == tl.kex
}

// impossible says why the tool cannot work on the target; "" means it can.
func (b *bencher) impossible(t *target, tl tool) string {
	if tl.needs != "" && !t.runsPrograms {
		return "needs " + tl.needs + " on the target; the simulated fleet runs no programs"
	}
	return ""
}
