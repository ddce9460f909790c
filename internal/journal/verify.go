package journal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
)

// maxProblems is the maximum number of problems in a Report.
const maxProblems = 1000

// A Report is the result of Verify.
type Report struct {
	// Targets, Intents, Results and Contents are the numbers of rows checked.
	Targets, Intents, Results, Contents int
	// Unresolved are the indexes of the targets that are Intended. This is not damage, but
	// it is unknown whether their commands ran.
	Unresolved []int
	// Problems are the mismatches found, at most 1,000; nil means that the run is intact.
	Problems []error
}

// OK reports whether no mismatch was found.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

func (r *Report) add(err error) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, err)
	}
}

// Verify checks everything the journal has of a run: the database with SQLite's integrity
// check, the checksum of each row, that no row is missing, each output against its hash,
// and that an intent precedes each result whose command was sent. Mismatches are in the
// Report; an error means that Verify could not check.
func (j *Journal) Verify(ctx context.Context, run string) (*Report, error) {
	report := new(Report)
	err := j.verify(ctx, run, report)
	if errors.Is(err, ErrDamaged) {
		report.add(err)
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("verifying run %s: %w", run, err)
	}
	return report, nil
}

func (j *Journal) verify(ctx context.Context, run string, report *Report) error {
	s, err := j.snapshot(ctx, run)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.verifyDatabase(report); err != nil {
		return err
	}
	if err := s.verifyRows(report); err != nil {
		return err
	}
	if err := s.verifyContents(report); err != nil || !report.OK() {
		return err
	}
	return s.each(func(e *Entry) (bool, error) {
		if e.Standing == Intended {
			report.Unresolved = append(report.Unresolved, e.Target.Index)
		}
		if e.Standing == Done && len(e.Intents) == 0 && (e.Outcome.Ran() || e.Flags != 0) {
			report.add(fmt.Errorf("%w: target %d ran without an intent", ErrDamaged, e.Target.Index))
		}
		return true, nil
	})
}

// verifyDatabase runs SQLite's integrity check on pages and indexes.
func (s *snapshot) verifyDatabase(report *Report) error {
	rows, err := s.tx.QueryContext(s.ctx, `PRAGMA integrity_check`)
	if err != nil {
		return explain(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var finding string
		if err := rows.Scan(&finding); err != nil {
			return err
		}
		if finding != "ok" {
			report.add(fmt.Errorf("%w: the database: %.200q", ErrDamaged, finding))
		}
	}
	return explain(rows.Err())
}

// verifyRows checks each row separately, so that one bad row does not hide others.
func (s *snapshot) verifyRows(report *Report) error {
	for _, table := range []struct {
		name, query string
		columns     int
		binding     runSum
		count       *int
		decode      func(row []any) error
	}{
		{"targets", selectTarget, targetColumns, sumRun(s.info.Run, nil), &report.Targets, func(row []any) error {
			_, _, err := decodeTarget(row)
			return err
		}},
		{"intents", selectIntent, intentColumns, s.info.binding, &report.Intents, func(row []any) error {
			_, _, err := decodeIntent(row)
			return err
		}},
		{"results", selectResult, resultColumns, s.info.binding, &report.Results, func(row []any) error {
			_, _, _, err := decodeResult(row)
			return err
		}},
	} {
		c, err := s.open(table.name, table.query, table.columns, table.binding)
		if err != nil {
			return err
		}
		for {
			more, err := c.next()
			if err == nil && more {
				err = table.decode(c.row)
			}
			if errors.Is(err, ErrDamaged) {
				report.add(err)
			} else if err != nil {
				c.close()
				return err
			}
			if !c.more {
				break
			}
			*table.count++
		}
		c.close()
	}
	return nil
}

// verifyContents checks all contents that the run refers to.
func (s *snapshot) verifyContents(report *Report) error {
	query := `SELECT stdout FROM results WHERE run = ?1 AND stdout IS NOT NULL
		UNION SELECT stderr FROM results WHERE run = ?1 AND stderr IS NOT NULL`
	if !s.info.NoCommand {
		query += ` UNION SELECT command FROM targets WHERE run = ?1`
	}
	rows, err := s.tx.QueryContext(s.ctx, query, s.info.n)
	if err != nil {
		return explain(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var hash []byte
		if err := rows.Scan(&hash); err != nil {
			return err
		}
		report.Contents++
		if len(hash) != sha256.Size {
			continue // already reported with its row
		}
		if _, err := s.content(0, hash); errors.Is(err, ErrDamaged) {
			report.add(err)
		} else if err != nil {
			return err
		}
	}
	return explain(rows.Err())
}
