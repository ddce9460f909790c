package cluster

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// An Asker is an ssh.Dialer whose attempts are made by workers, for questions to hosts that may be asked
// more than once. They are a run of their own in NATS, which begins with the first of them.
type Asker struct {
	conn    *Conn
	options CoordinatorOptions

	// turn has a token while somebody uses the next: to begin takes a while, in which others end with their contexts.
	turn        chan struct{}
	coordinator *Coordinator // nil before the first question
	err         error        // why it could not begin
	closed      bool
}

// NewAsker returns an Asker that uses conn, which stays the caller's. Close must be called.
func NewAsker(conn *Conn, o CoordinatorOptions) *Asker {
	o.Options.Attempts, o.Options.Idempotent = 1, true // whoever asks asks again
	return &Asker{conn: conn, options: o, turn: make(chan struct{}, 1)}
}

// Dial implements ssh.Dialer.
func (a *Asker) Dial(ctx context.Context, attempt *ssh.Attempt) (ssh.Conn, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, attempt.Fail(fleet.OutcomeNeverStarted, fleet.ReasonLogUnwritten, err)
	}
	return c.Dial(ctx, attempt)
}

func (a *Asker) begin(ctx context.Context) (*Coordinator, error) {
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("asking through workers: %w", context.Cause(ctx))
	}
	defer func() { <-a.turn }()
	switch {
	case a.closed:
		return nil, errStopped
	case a.coordinator != nil || a.err != nil:
		return a.coordinator, a.err
	}
	c, err := NewCoordinator(a.conn, a.options)
	if err == nil {
		if err = c.Begin(ctx, newQuery(time.Now())); err != nil {
			c.Close()
		}
	}
	if err != nil {
		err = fmt.Errorf("asking through workers: %w", err)
		if ctx.Err() == nil { // otherwise it is of this question alone
			a.err = err
		}
		return nil, err
	}
	a.coordinator = c
	return c, nil
}

// Close ends the asking, and removes what NATS has of it.
func (a *Asker) Close() {
	a.turn <- struct{}{}
	defer func() { <-a.turn }()
	a.closed = true
	if a.coordinator != nil {
		a.coordinator.Forget() // answers that nobody waits for any more
		a.coordinator.Close()
		a.coordinator = nil
	}
}

// The log of questions has a name that says when they began: whoever begins a run removes what a process
// that was killed has left.
const (
	queryPrefix = "query-"
	queryAge    = 24 * time.Hour
)

func newQuery(now time.Time) string {
	return queryPrefix + strconv.FormatInt(now.Unix(), 36) + "-" + strings.ToLower(rand.Text()[:10])
}

// isOldQuery reports whether the run of this name asked questions long ago.
func isOldQuery(run string, now time.Time) bool {
	rest, ok := strings.CutPrefix(run, queryPrefix)
	if !ok {
		return false
	}
	text, _, _ := strings.Cut(rest, "-")
	began, err := strconv.ParseInt(text, 36, 64)
	return err == nil && now.Sub(time.Unix(began, 0)) > queryAge
}
