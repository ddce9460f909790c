package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// turns measures. Within a repeat every tool has its turn at each size before
// the next size, and each repeat starts with another tool, so that drift of the
// machine affects all of them equally.
func (b *bencher) turns(ctx context.Context) error {
	for repeat := 1; repeat <= b.settings.Repeats; repeat++ {
		for _, t := range b.targets {
			if t.repeats > 0 && repeat > t.repeats {
				continue
			}
			for _, size := range t.sizes {
				if err := b.turn(ctx, t, size, repeat); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// turn runs every tool once on size hosts.
func (b *bencher) turn(ctx context.Context, t *target, size, repeat int) error {
	for i := range b.tools {
		tl := b.tools[(i+(repeat-1)*len(b.tools)/b.settings.Repeats)%len(b.tools)]
		switch {
		case b.leavesOut(t, tl):
			continue
		case time.Since(b.begun) > b.settings.Budget:
			b.say("%s %d: %s not run: the budget of %v is spent", t.name, size, tl.name, b.settings.Budget)
			continue
		}
		p, ran, err := b.measure(ctx, t, tl, size)
		if err != nil {
			return err
		}
		if !ran && repeat > 1 {
			continue // the reason was printed in the first repeat
		}
		p.Target, p.Tool, p.Size, p.Repeat = t.name, tl.name, size, repeat
		b.points = append(b.points, p)
		if err := b.results.point(p); err != nil {
			return err
		}
		b.say("%s %d: %s (%d/%d): %d correct in %.2f s, %.1f ms of CPU per host %s",
			t.name, size, tl.name, repeat, b.settings.Repeats, p.Correct, p.Wall.Seconds(), perHost(p.cpu(), size), p.Failure)
	}
	return nil
}

// measure runs a tool once, unless it is known to reach the time limit.
func (b *bencher) measure(ctx context.Context, t *target, tl tool, size int) (p Point, ran bool, err error) {
	key := [2]string{t.name, tl.name}
	switch why := b.impossible(t, tl); {
	case why != "":
		return Point{Failure: why}, false, nil
	case b.over[key] > 0 && size >= b.over[key]:
		return Point{Failure: fmt.Sprintf("not tried again: over the limit of %v before", b.settings.Limit)}, false, nil
	}
	j, err := t.job(b.dir, size, tl.kex)
	if err != nil {
		return p, false, err
	}
	j = b.outfit(j)
	if j.dest = filepath.Join(t.dir, fmt.Sprint("pushed-", b.meter.runs)); tl.name == echoes {
		j.file = ""
	}
	before, err := t.server.rest()
	if err != nil {
		return p, false, err
	}
	took, err := b.start(ctx, tl, j)
	if err != nil {
		return p, false, err
	}
	after, err := t.server.rest()
	if err != nil {
		return p, false, err
	}
	if took.timedOut {
		b.over[key] = size
	}
	p = b.point(tl, j, took)
	p.ServerCPU = after.sub(before).sum()
	if copied(tl, j) {
		p, err = b.checkCopies(ctx, t, j, took, p)
	}
	return p, true, err
}

// point makes a Point of a measurement.
func (b *bencher) point(tl tool, j job, took taken) Point {
	p := Point{
		Started: took.started, Wall: took.wall, CPUUser: took.cpu.user, CPUSystem: took.cpu.system,
		Largest: took.peaks.largest, Process: took.peaks.name, Tree: took.peaks.tree,
		Processes: took.peaks.processes, Left: took.left, Exit: took.exit,
	}
	if !copied(tl, j) {
		p.Correct = tl.answers(took.stdout).correct(j.hosts)
	}
	for _, arg := range tl.line(j) {
		p.Argv = append(p.Argv, b.short(arg))
	}
	b.judge(&p, took, len(j.hosts))
	return p
}

// judge sets why a run has failed.
func (b *bencher) judge(p *Point, took taken, hosts int) {
	p.Failure, p.Error = "", ""
	switch {
	case took.timedOut:
		p.Failure = fmt.Sprintf("not done after %v", b.settings.Limit)
	case p.Correct < hosts:
		p.Failure = fmt.Sprintf("%d of %d outputs wrong or missing", hosts-p.Correct, hosts)
	}
	if p.Failure != "" {
		p.Error = b.short(firstError(took.stderr, took.stdout))
	}
}

// short removes the temporary directory from a text.
func (b *bencher) short(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, b.dir+"/", ""), b.settings.shoal, base)
}

// maxError limits an error's line, in bytes.
const maxError = 200

// firstError returns the first line on stderr that is not a warning, or else
// the first on stdout that is not an answer.
func firstError(stderr, stdout []byte) string {
	for line := range lines(stderr) {
		line, _, _ = strings.Cut(line, "\r") // ssh ends its lines with \r, whatever a tool appends
		if text := strings.TrimSpace(line); text != "" && !isWarning(text) {
			return strings.ToValidUTF8(text[:min(len(text), maxError)], "")
		}
	}
	for line := range lines(stdout) {
		if text := strings.TrimSpace(line); text != "" && !strings.Contains(text, want("")) {
			return strings.ToValidUTF8(text[:min(len(text), maxError)], "")
		}
	}
	return ""
}

func isWarning(line string) bool {
	return strings.HasPrefix(strings.TrimLeft(strings.ToLower(line), "[*@ "), "warning")
}
