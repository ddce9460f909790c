package journal

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
)

// A Poller tells when something was written to a journal, by whatever process. It is not safe
// for concurrent use.
type Poller struct {
	db      *sql.DB // with one connection, which counts the writes of others; nil: nobody can write
	version int64
}

// Poller returns a Poller, to be closed before the journal.
func (j *Journal) Poller(ctx context.Context) (*Poller, error) {
	if j.read.Stats().MaxOpenConnections < readers { // it is locked by us; see openReadOnly
		return &Poller{}, nil
	}
	db, err := j.connect(1, url.Values{"_query_only": {"1"}})
	if err != nil {
		return nil, fmt.Errorf("polling the journal: %w", explain(err))
	}
	w := &Poller{db: db}
	if _, err := w.Changed(ctx); err != nil {
		_ = db.Close()
		return nil, err
	}
	return w, nil
}

// Changed reports whether something was written since the last call. It reads a number in
// shared memory, and no table.
func (w *Poller) Changed(ctx context.Context) (bool, error) {
	if w.db == nil {
		return false, nil
	}
	was := w.version
	if err := w.db.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&w.version); err != nil {
		return false, fmt.Errorf("polling the journal: %w", explain(err))
	}
	return w.version != was, nil
}

// Close ends the polling.
func (w *Poller) Close() error {
	if w.db == nil {
		return nil
	}
	return w.db.Close()
}

// Changes are what was written of a run after some point.
type Changes struct {
	State State
	// Last is the number of the last intent or result; 0 means that there is none.
	Last int64
	// Entries are the targets with an intent or a result after that point, in the order of
	// their indexes, without commands, output and earlier intents.
	Entries []Entry
}

// Changes returns what was written of a run after the intent or result with the number after.
// It does not read the whole run, and so does not detect missing rows.
func (j *Journal) Changes(ctx context.Context, run string, after int64) (*Changes, error) {
	s, err := j.snapshot(ctx, run)
	if err == nil {
		defer s.close()
		var c *Changes
		if c, err = s.changes(after); err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("reading run %s: %w", run, err)
}

func (s *snapshot) changes(after int64) (*Changes, error) {
	c := &Changes{State: s.info.State}
	if n := len(s.info.Sessions); n > 0 {
		c.Last = s.info.Sessions[n-1].seq
	}
	if c.Last <= after {
		return c, nil
	}
	intents, err := s.intents(after, nil)
	if err != nil {
		return nil, err
	}
	text := s.selectEntries() + ` AND t.idx IN (SELECT idx FROM intents WHERE run = ?1 AND seq > ?2
		UNION SELECT idx FROM results WHERE run = ?1 AND seq > ?2) ORDER BY t.idx`
	err = query(s.ctx, s.tx, func(rows *sql.Rows) error {
		e, err := scanEntry(rows)
		if err != nil {
			return err
		}
		e.Intents, intents = intentsOf(intents, e.Target.Index)
		e.conclude(s.info.State == Running)
		c.Entries = append(c.Entries, *e)
		return nil
	}, text, s.info.n, after)
	return c, err
}
