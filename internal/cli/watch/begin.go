package watch

import (
	"context"
	"errors"

	"shoal/internal/cli/console"
	"shoal/internal/cli/run"
	"shoal/internal/hint"
	"shoal/internal/journal"
	shoalrun "shoal/internal/run"
)

// begin records the watch and reads the answers of an earlier one.
func (w *watcher) begin(ctx context.Context) (j *journal.Journal, err error) {
	info := w.flags.Info(w.header)
	if w.flags.On() {
		if info.Settings, err = run.SettingsOf(w.flags.given, w.flags.kept, &w.flags.HostFlags, &w.opts, w.flags.NoCommand()); err != nil {
			return nil, err
		}
	}
	if j, err = w.flags.JournalFlags.Open(ctx); err != nil {
		return nil, err
	}
	if j != nil && !w.flags.NoCommand() {
		if err := w.readBaseline(ctx, j); err != nil {
			return nil, errors.Join(err, j.Close())
		}
	}
	if w.run, err = shoalrun.BeginWatch(ctx, j, info, w.flags.Wrapper, w.plan, w.schedule.String()); err != nil {
		return nil, errors.Join(hint.Wrap(err, "--no-journal watches without one"), closeJournal(j))
	}
	if j != nil {
		w.header.Run = w.run.ID
	}
	return j, nil
}

func closeJournal(j *journal.Journal) error {
	if j == nil {
		return nil
	}
	return j.Close()
}

// readBaseline reads the answers of the last watch of the same command. Hosts are recognised by
// the names that they have in the list, and by their order where several have one.
func (w *watcher) readBaseline(ctx context.Context, j *journal.Journal) error {
	id, err := j.LastWatch(ctx, w.header.Command, "")
	if errors.Is(err, journal.ErrNoRun) {
		return nil
	}
	if err != nil {
		return err
	}
	ours := make(map[string][]int)
	for t := range w.plan.Recorded() {
		ours[t.Host.String()] = append(ours[t.Host.String()], t.Index)
	}
	if w.earlier, err = j.Run(ctx, id); err != nil {
		return err
	}
	ticks, err := j.Ticks(ctx, id)
	if err != nil {
		return err
	}
	answers := 0
	for e, err := range j.Answers(ctx, id) {
		if errors.Is(err, journal.ErrDamaged) {
			console.Complain(w.stdio.Err, hint.Wrap(err, "the first answers are not compared with those of this watch"))
			break
		}
		if err != nil {
			return err
		}
		name := e.Target.Host.String()
		if len(ours[name]) == 0 {
			continue
		}
		e.Target.Index, ours[name] = ours[name][0], ours[name][1:]
		at := ticks.Last.Started
		if at.IsZero() {
			at = w.earlier.Started
		}
		w.compare.Baseline(&e.Result, at)
		answers++
	}
	if answers == 0 {
		w.earlier = nil
	}
	return nil
}
