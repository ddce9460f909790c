// Package output prints and stores results: on a terminal, in pipes and files, and as a
// summary line.
//
// A [Sink] takes results one at a time and is closed once. [NewLive] prints output as it
// arrives, [NewGathered] prints equal output once, and [NewFiles] and [NewJSON] store it.
// [NewOrdered] and [Multi] wrap other sinks. [NewProgress] shows the state of a run while it goes on and
// [SummaryText] its result.
//
// # Promises
//
// Nothing that a host sent reaches a terminal unescaped; see [Out]. If the stream is not a
// terminal, the bytes of an output are unchanged. Write errors are always returned, never
// only printed, and wrap the system's error, so that errors.Is(err, syscall.EPIPE) tells a
// closed pipe from a full disk.
//
// A sink may keep the bytes of a result until its Close; they must not be changed.
package output

import (
	"errors"
	"fmt"
	"io"

	"shoal/fleet"
	"shoal/record"
)

// A Sink takes the results of a run. Its methods must not be called concurrently.
type Sink interface {
	// Result takes one result. An error means that this result may not be stored or shown
	// in full; more results may follow. A *fleet.Error in its chain replaces the outcome
	// of the result, which could not be stored.
	Result(r fleet.Result) error
	// Close completes the output and frees the sink's memory, but does not close writers
	// that were passed to it. No call may follow.
	Close() error
}

// An Out is a stream for people or programs. The zero value discards everything.
type Out struct {
	// W receives the bytes; nil discards them.
	W io.Writer
	// Escape makes bytes visible that a terminal would interpret or hide. Set it for
	// terminals only: it changes the bytes.
	Escape bool
	// Colour colours our own text, so that no host can imitate it. That requires Escape.
	Colour bool
	// Columns returns the width of the terminal, into which our own lines are broken
	// between words; nil or 0 means any.
	Columns func() int
}

func (o Out) write(p []byte) error {
	if o.W == nil || len(p) == 0 {
		return nil
	}
	n, err := o.W.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// wrap adds the stream's name to a write error.
func wrap(s fleet.Stream, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("writing to %s: %w", s, err)
}

// JSON writes results as a stream in the format of package record.
type JSON struct {
	w   *record.Writer
	sum *record.Summary
}

// NewJSON writes the header to w. Close writes sum, whose fields the caller updates until
// then.
func NewJSON(w io.Writer, h record.Header, sum *record.Summary) (*JSON, error) {
	rw, err := record.NewWriter(w, h)
	if err != nil {
		return nil, err
	}
	return &JSON{w: rw, sum: sum}, nil
}

// Result writes one result with its output.
func (j *JSON) Result(r fleet.Result) error { return j.w.Result(r) }

// Close writes the summary.
func (j *JSON) Close() error { return j.w.Close(*j.sum) }

// Multi returns a sink that passes each result to all sinks, one after the other, and
// closes them in the same order. An error of one does not stop the others; errors are
// joined.
func Multi(sinks ...Sink) Sink { return tee(sinks) }

type tee []Sink

func (t tee) Result(r fleet.Result) error {
	var errs []error
	for _, s := range t {
		errs = append(errs, s.Result(r))
	}
	return errors.Join(errs...)
}

func (t tee) Close() error {
	var errs []error
	for _, s := range t {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
