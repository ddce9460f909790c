package run

import (
	"errors"
	"slices"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/journal"
	"shoal/internal/remote"
	"shoal/internal/remote/wrap"
)

// tidyTimeout is the time that the removal of one marker may take.
const tidyTimeout = 5 * time.Second

// tidies reports whether a run removes the markers of commands whose end it knows. That
// of Once stays, since it prevents another start, and that of Detach until collected.
func (r Remote) tidies() bool { return r.KillOnCancel && !r.Once && !r.Detach }

// A tidier removes markers from their hosts, each over the connection on which its
// command has run, once the result is in the journal and synced: without its marker a
// command looks as if it had never started.
type tidier struct {
	marker   wrap.Options
	recorded *journal.Run
	failed   bool // a result could not be recorded; for the goroutine that ranges over the results

	mu    sync.Mutex
	ended map[int]struct{} // targets whose wrapper has recorded the end; command removes them
	left  int              // markers that could not be removed
	why   error            // of the first one
}

func newTidier(marker *wrap.Options, recorded *journal.Run) *tidier {
	t := &tidier{recorded: recorded, ended: make(map[int]struct{})}
	marker.Recorded = t.hasEnded
	t.marker = *marker
	return t
}

// hasEnded is called when the wrapper of a target has recorded the command's end. Without
// that there may be no wrapper: a forced command would run once more.
func (t *tidier) hasEnded(x fleet.Target) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended[x.Index] = struct{}{}
}

// takeEnded reports whether hasEnded was called for a target, once.
func (t *tidier) takeEnded(index int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.ended[index]
	delete(t.ended, index)
	return ok
}

func (t *tidier) epilogue() *engine.Epilogue {
	return &engine.Epilogue{Command: t.command, Stored: t.recorded.Flush, Timeout: tidyTimeout}
}

func (t *tidier) command(r *fleet.Result) (string, func([]byte, error)) {
	mayRun := func(try fleet.Try) bool { return !try.Outcome.DidNotRun() }
	if ended := t.takeEnded(r.Target.Index); !ended || t.failed || !r.Outcome.Ran() ||
		slices.ContainsFunc(r.Earlier, mayRun) { // whose start, if it is in transit, must find the marker
		return "", nil
	}
	nonce := remote.NewNonce()
	line, err := t.marker.Marker(r.Target).Discard(nonce)
	if err != nil {
		t.stays(err)
		return "", nil
	}
	return line, func(stdout []byte, err error) {
		if err == nil {
			var report remote.Report
			if report, err = remote.ParseReport(nonce, stdout); err == nil && !report.Forgotten {
				err = errors.New("the host did not remove it")
			}
		}
		if err != nil {
			t.stays(err)
		}
	}
}

// stays counts a marker that could not be removed.
func (t *tidier) stays(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left++; t.left == 1 {
		t.why = err
	}
}

// MarkersLeft returns, after Results, the number of markers that the run was to remove
// and could not, and why the first one stayed.
func (r *Run) MarkersLeft() (n int, why error) { return r.markersLeft, r.markersWhy }
