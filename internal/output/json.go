package output

import (
	"io"

	"shoal/fleet"
	"shoal/record"
)

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
