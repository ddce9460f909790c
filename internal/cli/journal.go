package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"shoal/fleet"
	"shoal/internal/journal"
	"shoal/internal/ui"
	"shoal/record"
)

// journalFlags say whether and where a run is written down.
type journalFlags struct {
	noJournal       bool
	noRecordCommand bool
	stateDir        func() string
	options         map[string]string // of the run, to be kept with it
	settings        *journal.Settings // the same
}

func (f *runFlags) journal() flagGroup {
	g := newGroup("Journal")
	g.BoolVar(&f.noJournal, "no-journal", false, "keep no journal of this run: no history, no resume")
	g.BoolVar(&f.noRecordCommand, "no-record-command", false, "keep no text of the command in the journal")
	f.journalFlags.stateDir = f.state
	return g
}

// A keeper writes one run down. A nil one keeps nothing.
type keeper struct {
	journal *journal.Journal
	run     *journal.Run
}

// openJournal opens the journal in a state directory.
func openJournal(ctx context.Context, dir string) (*journal.Journal, error) {
	if dir == "" {
		return nil, errors.New("there is no journal without a state directory\nhint: leave out --state-dir none")
	}
	return journal.Open(ctx, dir, journal.Options{})
}

// openJournalToRead opens the journal to be read, where it cannot be written too.
func openJournalToRead(ctx context.Context, dir string, stderr io.Writer) (*journal.Journal, error) {
	j, err := openJournal(ctx, dir)
	if err == nil || dir == "" {
		return j, err
	}
	j, failed := journal.OpenReadOnly(ctx, dir, journal.Options{})
	if failed != nil {
		return nil, err
	}
	text, _ := ui.SplitHint(err.Error())
	say(stderr, "the journal can only be read: %s", ui.Visible(text))
	return j, nil
}

// on says that runs are written down.
func (f *journalFlags) on() bool { return !f.noJournal && f.stateDir() != "" }

// beginRun begins a new run in the journal, with its identifier in the header.
func beginRun(ctx context.Context, f *journalFlags, h *record.Header, targets iter.Seq[fleet.Target]) (*keeper, error) {
	return beginAs(ctx, f, h, targets, "")
}

func beginAs(ctx context.Context, f *journalFlags, h *record.Header, targets iter.Seq[fleet.Target], parent string) (*keeper, error) {
	if !f.on() {
		return nil, nil
	}
	j, err := openJournal(ctx, f.stateDir())
	if err != nil {
		return nil, fmt.Errorf("%w\nhint: --no-journal runs without one", err)
	}
	info := journal.RunInfo{Header: *h, NoCommand: f.noRecordCommand, Parent: parent, Options: f.options, Settings: f.settings}
	info.Run = ""
	r, err := j.Begin(ctx, info, targets)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("writing the run into the journal: %w\nhint: --no-journal runs without one", err), j.Close())
	}
	h.Run = r.ID()
	return &keeper{journal: j, run: r}, nil
}

// session is 0 in a run's first process, and one more in each that goes on with
// it.
func (k *keeper) session() int {
	if k == nil {
		return 0
	}
	return k.run.Session()
}

// intend is what has to happen before a command leaves; nil for nothing.
func (k *keeper) intend() func(fleet.Target, int) error {
	if k == nil {
		return nil
	}
	return func(t fleet.Target, attempt int) error { return k.run.Intend(t.Index, attempt) }
}

func (k *keeper) result(r fleet.Result) error {
	if k == nil {
		return nil
	}
	if err := k.run.Result(r); err != nil {
		return fmt.Errorf("writing into the journal: %w", err)
	}
	return nil
}

// keptDays and keptBytes are what shoal prune keeps unless it is told otherwise.
const (
	keptDays  = 90
	keptBytes = 2 << 30
)

func (k *keeper) end(interrupted bool, code int, failed error) error {
	if k == nil {
		return nil
	}
	how := journal.Ending{Interrupted: interrupted, ExitCode: code}
	if failed != nil {
		how.Failure = failed.Error()
	}
	return errors.Join(k.run.End(how), k.journal.Close())
}

// abandon ends a run of which nothing was started.
func (k *keeper) abandon() error {
	return k.end(true, exitUsage, errors.New("nothing was started"))
}
