package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
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
			if b.impossible(t, tl) != "" || t.like != "" || tl.argv == nil || tl.name == echoes {
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
	took, err := b.meter.run(ctx, tl.line(j), env, b.settings.Limit)
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
	switch {
	case t.file == "":
		if tl.argv == nil || tl.name == echoes {
			return true
		}
	case tl.name == onlyHost:
		return t.cipher == ""
	case tl.name == echoes:
		return !t.echo
	default:
		if tl.push == nil || tl.name != base && (t.cipher != "" || t.echo) {
			return true
		}
	}
	if tl.kex == "" {
		return false
	}
	return t.file == "" && t.like != "" || b.impossible(t, tl) != "" || b.kex(t, tl.plain) == tl.kex
}

// impossible returns why the tool cannot work on the target; "" if it can.
func (b *bencher) impossible(t *target, tl tool) string {
	if tl.needs != "" && !t.runsPrograms {
		return "needs " + tl.needs + " on the target; the simulated fleet runs no programs"
	}
	return ""
}

// negotiated returns the key exchange that two sides agree on, given their
// first bytes: the first of the client's that the server also supports (RFC
// 4253 §7.1).
func negotiated(client, server []byte) (string, error) {
	ours, err := kexAlgorithms(client)
	if err != nil {
		return "", err
	}
	theirs, err := kexAlgorithms(server)
	if err != nil {
		return "", err
	}
	for _, name := range ours {
		if slices.Contains(theirs, name) {
			return name, nil
		}
	}
	return "", errors.New("no key exchange in common")
}

// Sizes of a binary packet and of SSH_MSG_KEXINIT (RFC 4253 §6 and §7.1).
const (
	packetHead  = 4 + 1 // packet_length, padding_length
	msgKexInit  = 20
	kexInitHead = 1 + 16 // message number, cookie
)

var errNoKexInit = errors.New("no SSH_MSG_KEXINIT")

// kexAlgorithms returns the kex_algorithms of a side's first packet, which
// follows its version line and is not encrypted.
func kexAlgorithms(b []byte) ([]string, error) {
	for !bytes.HasPrefix(b, []byte("SSH-")) { // RFC 4253 §4.2: lines may precede
		_, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			return nil, errNoKexInit
		}
		b = rest
	}
	_, b, _ = bytes.Cut(b, []byte("\n"))
	if len(b) < packetHead+kexInitHead+4 || b[packetHead] != msgKexInit {
		return nil, errNoKexInit
	}
	b = b[packetHead+kexInitHead:]
	n := binary.BigEndian.Uint32(b)
	if b = b[4:]; uint64(n) > uint64(len(b)) {
		return nil, errNoKexInit
	}
	return strings.Split(string(b[:n]), ","), nil
}
