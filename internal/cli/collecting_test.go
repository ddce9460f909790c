package cli

import (
	"bytes"
	"strings"
	"testing"

	"shoal"
	"shoal/fleet"
	"shoal/remote"
)

// A server that gives crumbs, or what was not asked for, is not asked for ever.
func TestCollectingIsBounded(t *testing.T) {
	chunk := bytes.Repeat([]byte{'x'}, collectChunk)
	ended := func(out remote.Chunk) remote.Report {
		return remote.Report{State: remote.StateEnded, Cause: remote.CauseExit, Stdout: out}
	}
	for name, c := range map[string]struct {
		report     remote.Report
		more, kept bool // asked again; an answer that does not fit
	}{
		"a whole chunk":   {ended(remote.Chunk{Bytes: chunk, Size: 3 * collectChunk}), true, true},
		"a crumb of much": {ended(remote.Chunk{Bytes: []byte("x"), Size: 3 * collectChunk}), false, true},
		"from elsewhere":  {ended(remote.Chunk{Bytes: chunk, From: 7, Size: 3 * collectChunk}), false, false},
		"still running":   {remote.Report{State: remote.StateRunning}, false, false},
	} {
		out := &output{display: none{}, stderr: &strings.Builder{}}
		asked := &collecting{afterwards: &afterwards{}, out: out, limit: -1}
		p := &parcel{inquiry: &inquiry{sessions: []int{0}}}
		// What is whole goes on to the display and the journal, which are not here.
		more := asked.wants(int64(len(c.report.Stdout.Bytes)), c.report.Stdout)
		if c.report.Stdout.From == 0 && more != c.more {
			t.Errorf("%s: asked again %v, want %v", name, more, c.more)
		}
		if c.more || !c.kept {
			again, err := asked.take(p, shoal.Answer{Report: c.report})
			if again != c.more || err != nil || p.whole || (len(p.result.Stdout.Bytes) > 0) != c.kept {
				t.Errorf("%s: again %v, error %v, %d bytes kept", name, again, err, len(p.result.Stdout.Bytes))
			}
		}
	}
}

type none struct{}

func (none) Result(fleet.Result) error { return nil }
func (none) Close() error              { return nil }
