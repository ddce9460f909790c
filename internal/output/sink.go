// Package output is where results go: to a terminal, into pipes and files, and
// onto the line that sums them up.
//
// Every [Sink] takes results one at a time and is closed once. [NewLive] prints
// output as it comes, [NewGathered] equal output once, [NewFiles] and [NewJSON]
// keep it; [NewOrdered] and [Tee] stand before others; [NewProgress] shows how
// far the run is and [SummaryText] how it ended.
//
// # Promises
//
// Nothing that a host sent reaches a terminal unescaped: see [Out]. Where no
// terminal is, the bytes of an output are exactly what came. An error of
// writing is always returned, never only printed; it wraps what the system
// said, so that errors.Is(err, syscall.EPIPE) tells a closed pipe from a full
// disk.
//
// A sink may keep the bytes of a result until its Close; nobody may change
// them.
package output

import (
	"fmt"
	"io"

	"shoal/fleet"
)

// A Sink takes the results of a run. Its methods are for one goroutine at a
// time.
type Sink interface {
	// Result takes one result. An error means that this result may not be
	// stored or shown in full; more results may follow. A *fleet.Error in its
	// chain says that the target's own result is spoilt and how it stands now.
	Result(r fleet.Result) error
	// Close finishes what is under way and frees what the sink holds, but does
	// not close writers that it was given. Nothing may follow it.
	Close() error
}

// An Out is a stream that people or programs read. The zero value drops what it
// gets.
type Out struct {
	// W takes the bytes; nil drops them.
	W io.Writer
	// Escape makes what a terminal would obey or hide visible. It is to be set
	// for terminals, and only there: it changes the bytes.
	Escape bool
	// Colour colours what is ours, so that no host can imitate it. It needs
	// Escape to keep that promise.
	Colour bool
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

// wrap names the stream in an error of writing to it.
func wrap(s fleet.Stream, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("writing to %s: %w", s, err)
}
