package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// everyPoll is after how many polls followers look without a change: a process that died
	// has written nothing.
	everyPoll = 10
	// quiet is the time after which a comment keeps a stream without events open.
	quiet = 20 * time.Second
	// maxRows is the number of rows in one event.
	maxRows = 2000
)

// A hub tells followers that something may have changed.
type hub struct {
	mu sync.Mutex
	// Each follower's channel holds one notice; run sends, and nobody closes it.
	waiting map[chan struct{}]struct{}
}

// join returns a channel with notices, or nil if there are too many followers.
func (h *hub) join() chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiting) >= maxFollowers {
		return nil
	}
	notices := make(chan struct{}, 1)
	notices <- struct{}{} // look at once
	h.waiting[notices] = struct{}{}
	return notices
}

func (h *hub) leave(notices chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waiting, notices)
}

// notify sends a notice to all followers who have none, and returns how many follow.
func (h *hub) notify(send bool) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	for notices := range h.waiting {
		if send {
			select {
			case notices <- struct{}{}:
			default:
			}
		}
	}
	return len(h.waiting)
}

// run polls the source while somebody follows.
func (h *hub) run(ctx context.Context, s Source) {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if h.notify(false) == 0 {
			continue
		}
		// With an error followers look for themselves, and report theirs.
		changed, err := s.Changed(ctx)
		h.notify(changed || err != nil || n%everyPoll == 0)
	}
}

// A stream sends server-sent events.
type stream struct {
	w         http.ResponseWriter
	c         *http.ResponseController
	writeTime time.Duration // for one event
}

// send sends an event; one without a name is a comment, which no page sees.
func (s *stream) send(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err //nolint:wrapcheck // of our own types: it cannot be
	}
	text := fmt.Sprintf("event: %s\ndata: %s\n\n", name, data)
	if name == "" {
		text = ":\n\n"
	}
	_ = s.c.SetWriteDeadline(time.Now().Add(s.writeTime)) // writing fails if it does
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err //nolint:wrapcheck // the client is gone
	}
	return s.c.Flush() //nolint:wrapcheck // the client is gone
}

// follow calls look at each notice until it is done, or fails, or the client leaves.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, look func(*stream) (done bool, err error)) {
	notices := s.hub.join()
	if notices == nil {
		refuse(w, http.StatusServiceUnavailable, "too many pages follow runs: close some")
		return
	}
	defer s.hub.leave(notices)
	w.Header().Set("Content-Type", "text/event-stream")
	out := &stream{w, http.NewResponseController(w), s.writeTime}
	if out.send("", nil) != nil {
		return
	}
	idle := time.NewTimer(quiet)
	defer idle.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-idle.C:
			if out.send("", nil) != nil {
				return
			}
		case <-notices:
			if done, err := look(out); done || err != nil {
				return
			}
		}
		idle.Reset(quiet)
	}
}

// historyEvents tells that the history may have changed.
func (s *Server) historyEvents(w http.ResponseWriter, r *http.Request) {
	first := true
	s.follow(w, r, func(out *stream) (bool, error) {
		if first { // it was read just now
			first = false
			return false, nil
		}
		return false, out.send("changed", nil)
	})
}

// runEvents tells what has changed in a run since the event with the number seq. It ends with a
// reload when the run has ended, and when the report is old enough to be made anew.
func (s *Server) runEvents(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseInt(r.FormValue("seq"), 10, 64)
	if err != nil {
		refuse(w, http.StatusBadRequest, "seq is not a number")
		return
	}
	run, begun, stale := r.PathValue("run"), time.Now(), false
	stands := minAge
	if last := s.cache.find(func(e *cached) bool { return e.run == run }); last != nil {
		stands = last.stands()
	}
	s.follow(w, r, func(out *stream) (bool, error) {
		c, err := s.source.Changes(r.Context(), run, after)
		if err != nil {
			return true, err //nolint:wrapcheck // the page tries again, and is told
		}
		for rows := c.Rows; len(rows) > 0; {
			n := min(len(rows), maxRows)
			if err := out.send("rows", rowsEvent(c.Seq, rows[:n])); err != nil {
				return true, err
			}
			rows, stale = rows[n:], true
		}
		if c.Watch != nil && c.Seq > after {
			if err := out.send("watch", c.Watch.News(c.Seq)); err != nil {
				return true, err
			}
		}
		after = c.Seq
		if !c.Live || stale && time.Since(begun) > 2*stands {
			return true, out.send("reload", nil)
		}
		return false, nil
	})
}

// rowsEvent returns rows as the page reads them; times are in microseconds.
func rowsEvent(seq int64, rows []Row) any {
	all := make([][6]any, len(rows))
	for i, r := range rows {
		all[i] = [6]any{r.Index, r.State, r.Cause, r.Start.Microseconds(), r.Took.Microseconds(), r.Attempt}
	}
	return map[string]any{"seq": seq, "rows": all}
}
