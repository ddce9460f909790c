package web

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"shoal/internal/report"
)

const (
	// maxCached is the size of all packed reports that are kept, in bytes.
	maxCached = 64 << 20
	// minAge is how long the report of a run that goes on stands at least, and ageFactor how
	// much longer than it took to make: this bounds the work, whoever asks how often.
	minAge    = 2 * time.Second
	ageFactor = 10
)

// A cached is a report as a page reads it.
type cached struct {
	report.Packed
	run, version string
	made         time.Time
	cost         time.Duration // of making it
}

// A cache keeps the reports that were asked for last. One is made at a time, because each takes
// memory for all texts of a run. It is safe for concurrent use.
type cache struct {
	making chan struct{} // whoever makes a report has put the one value that fits in; made by once
	once   sync.Once
	mu     sync.Mutex
	all    []*cached // the last used ones at the end
}

// newest returns the report of a run: the one that is kept, if nothing has changed since, or if
// it goes on and the report is young.
func (c *cache) newest(ctx context.Context, s Source, run string) (*cached, error) {
	c.once.Do(func() { c.making = make(chan struct{}, 1) })
	select {
	case c.making <- struct{}{}:
		defer func() { <-c.making }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	changes, err := s.Changes(ctx, run, 1<<62) // no rows
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the run
	}
	last := c.find(func(e *cached) bool { return e.run == run })
	if last != nil && (last.version == version(changes.Position) || changes.Live && time.Since(last.made) < last.stands()) {
		return last, nil
	}
	e := &cached{run: run, made: time.Now()}
	r, at, err := s.Report(ctx, run)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the run
	}
	e.version = version(at)
	if e.Packed, err = r.Pack(report.Live{On: at.Live, Version: e.version, Seq: at.Seq}); err != nil {
		return nil, err //nolint:wrapcheck // it says all
	}
	e.cost = time.Since(e.made)
	c.add(e)
	return e, nil
}

// stands returns how long the report stands for a run that goes on.
func (e *cached) stands() time.Duration { return max(minAge, ageFactor*e.cost) }

func version(p Position) string { return fmt.Sprintf("%d-%t", p.Seq, p.Live) }

// version returns a report that is kept, or nil.
func (c *cache) version(run, version string) *cached {
	return c.find(func(e *cached) bool { return e.run == run && e.version == version })
}

// find returns the last used report for which is returns true, or nil.
func (c *cache) find(is func(*cached) bool) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range slices.Backward(c.all) {
		if is(e) {
			c.all = append(slices.Delete(c.all, i, i+1), e)
			return e
		}
	}
	return nil
}

func (c *cache) add(e *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(slices.DeleteFunc(c.all, func(old *cached) bool { return old.run == e.run && old.version == e.version }), e)
	size := 0
	for i, old := range slices.Backward(c.all) {
		if size += len(old.Data) + len(old.Texts); size > maxCached && old != e {
			c.all = slices.Delete(c.all, 0, i+1)
			break
		}
	}
}
