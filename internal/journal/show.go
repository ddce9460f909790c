package journal

import (
	"context"
	"fmt"
	"iter"

	"shoal/fleet"
	"shoal/record"
)

// Show returns the selected targets of a run in the order of their indexes, with their
// commands and output. The iteration ends at the first error. If that is ErrDamaged, the
// entries yielded before it are intact.
func (j *Journal) Show(ctx context.Context, run string, sel Selector) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		err := j.walk(ctx, run, func(s *snapshot, e *Entry) (bool, error) {
			if !sel(e) {
				return true, nil
			}
			for stream, o := range []*fleet.Output{&e.Stdout, &e.Stderr} {
				if e.out[stream] == nil {
					continue
				}
				var err error
				if o.Bytes, err = s.content(1+stream, e.out[stream]); err != nil {
					return false, fmt.Errorf("output of target %d: %w", e.Target.Index, err)
				}
			}
			return yield(*e, nil), nil
		})
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

// walk calls f for each entry, without output.
func (j *Journal) walk(ctx context.Context, run string, f func(*snapshot, *Entry) (bool, error)) error {
	s, err := j.snapshot(ctx, run)
	if err == nil {
		err = s.each(func(e *Entry) (bool, error) { return f(s, e) })
		s.close()
	}
	if err != nil {
		return fmt.Errorf("reading run %s: %w", run, err)
	}
	return nil
}

// Select returns the selected targets of a run in the order of their indexes, which they
// keep. It checks the whole run first and selects nothing from a damaged one (ErrDamaged).
// Targets have no command if the run kept none; see Journal.SameCommand.
func (j *Journal) Select(ctx context.Context, run string, sel Selector) ([]fleet.Target, error) {
	var targets []fleet.Target
	err := j.walk(ctx, run, func(_ *snapshot, e *Entry) (bool, error) {
		if sel(e) {
			targets = append(targets, e.Target)
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return targets, nil
}

// Summary counts the targets of a run by outcome. For targets without a result it uses the
// one that Entry describes.
func (j *Journal) Summary(ctx context.Context, run string) (*record.Summary, error) {
	sum := new(record.Summary)
	err := j.walk(ctx, run, func(s *snapshot, e *Entry) (bool, error) {
		sum.Add(e.Result)
		if n := len(s.info.Sessions); sum.Targets() == 1 && n > 0 {
			sum.Interrupted = s.info.Sessions[n-1].Interrupted
			if ended := s.info.Ended(); !ended.IsZero() {
				sum.Elapsed = max(0, ended.Sub(s.info.Started))
			}
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return sum, nil
}

// SameCommand reports whether the targets, by index, have the commands that the run began
// with, even if their texts were not kept. It returns false for a target that is not in
// the run.
func (j *Journal) SameCommand(ctx context.Context, run string, targets iter.Seq[fleet.Target]) (bool, error) {
	commands := make(map[int]string)
	for t := range targets {
		commands[t.Index] = t.Command
	}
	same := 0
	err := j.walk(ctx, run, func(s *snapshot, e *Entry) (bool, error) {
		command, ok := commands[e.Target.Index]
		if ok && s.info.isCommand(e.command, command) {
			same++
		}
		return true, nil
	})
	return same == len(commands), err
}
