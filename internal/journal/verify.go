package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"shoal/fleet"
)

// maxProblems is the maximum number of problems in a Report.
const maxProblems = 1000

// A Report is the result of Verify.
type Report struct {
	// Targets, Intents, Results and Contents are the numbers of rows of the run.
	Targets, Intents, Results, Contents int
	// Unresolved are the indexes of the targets that are Intended. This is not damage, but
	// it is unknown whether their commands ran.
	Unresolved []int
	// Problems are what was found, at most 1,000; nil means that the run is intact.
	Problems []error
}

// OK reports whether no problem was found.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

func (r *Report) add(err error) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, err)
	}
}

// check returns err unless it is damage, which it adds to the report.
func (r *Report) check(err error) error {
	if errors.Is(err, ErrDamaged) {
		r.add(err)
		return nil
	}
	return err
}

// Verify checks everything the journal has of a run: the database with SQLite's integrity
// check, that each row can be read and none is missing, each command and output
// against its hash, and that an intent precedes each result whose command was sent. What it
// finds is in the Report; an error means that Verify could not check.
func (j *Journal) Verify(ctx context.Context, run string) (*Report, error) {
	report := new(Report)
	s, err := j.snapshot(ctx, run)
	if err == nil {
		defer s.close()
		for _, check := range []func(*Report) error{s.verifyDatabase, s.verifyContents, s.verifyRows} {
			if err = report.check(check(report)); err != nil {
				break
			}
		}
	}
	if err = report.check(err); err != nil {
		return nil, fmt.Errorf("verifying run %s: %w", run, err)
	}
	return report, nil
}

// verifyDatabase runs SQLite's integrity check on pages, indexes and the types of columns.
func (s *snapshot) verifyDatabase(report *Report) error {
	findings, err := queryColumn[string](s.ctx, s.tx, `PRAGMA integrity_check`)
	for _, finding := range findings {
		if finding != "ok" {
			report.add(fmt.Errorf("%w: the database: %.200q", ErrDamaged, finding))
		}
	}
	return err
}

// verifyContents checks all contents that the run refers to.
func (s *snapshot) verifyContents(report *Report) error {
	text := `SELECT stdout FROM results WHERE run = ?1 AND stdout IS NOT NULL
		UNION SELECT stderr FROM results WHERE run = ?1 AND stderr IS NOT NULL`
	if !s.info.NoCommand {
		text += ` UNION SELECT command FROM targets WHERE run = ?1`
	}
	return query(s.ctx, s.tx, func(rows *sql.Rows) error {
		var hash []byte
		if err := rows.Scan(&hash); err != nil {
			return err
		}
		report.Contents++
		_, err := s.content(0, hash)
		return report.check(err)
	}, text, s.info.n)
}

// ranFlags are the flags that only a command that ran has.
const ranFlags = fleet.FlagExitKnown | fleet.FlagExitConflict | fleet.FlagOutputTruncated | fleet.FlagOutputIncomplete

func (s *snapshot) verifyRows(report *Report) error {
	var unmatched int
	if err := s.tx.QueryRowContext(s.ctx, `SELECT (SELECT count(*) FROM targets WHERE run = ?1),
		(SELECT count(*) FROM intents WHERE run = ?1), (SELECT count(*) FROM results WHERE run = ?1),
		(SELECT count(*) FROM results r WHERE run = ?1 AND NOT EXISTS (SELECT 1 FROM targets WHERE run = r.run AND idx = r.idx))`,
		s.info.n).Scan(&report.Targets, &report.Intents, &report.Results, &unmatched); err != nil {
		return explain(err)
	}
	if unmatched > 0 {
		report.add(fmt.Errorf("%w: there is no target for %d results", ErrDamaged, unmatched))
	}
	if err := report.check(s.complete()); err != nil {
		return err
	}
	return s.entries(nil, func(e *Entry) error {
		if e.Progress == Intended {
			report.Unresolved = append(report.Unresolved, e.Target.Index)
		}
		if e.Progress == Done && len(e.Intents) == 0 && s.info.Watch() == "" && (e.Outcome.Ran() || e.Flags&ranFlags != 0) {
			report.add(fmt.Errorf("%w: target %d ran without an intent", ErrDamaged, e.Target.Index))
		}
		return nil
	})
}
