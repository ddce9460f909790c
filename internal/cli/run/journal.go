package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/journal"
	"shoal/internal/ui"
	"shoal/record"
)

// JournalFlags say whether and where a run is written down.
type JournalFlags struct {
	noJournal       bool
	noRecordCommand bool
	StateDir        func() string
	Options         map[string]string // of the run, to be kept with it
	Settings        *journal.Settings // the same
}

func (f *RunFlags) journal() flags.FlagGroup {
	g := flags.NewGroup("Journal")
	g.BoolVar(&f.noJournal, "no-journal", false, "keep no journal of this run: no history, no resume")
	g.BoolVar(&f.noRecordCommand, "no-record-command", false, "keep no text of the command in the journal")
	f.JournalFlags.StateDir = f.State
	return g
}

// A keeper writes one run down. A nil one keeps nothing.
type Journaling struct {
	Journal *journal.Journal
	Run     *journal.Run
}

// OpenJournal opens the journal in a state directory.
func OpenJournal(ctx context.Context, dir string) (*journal.Journal, error) {
	if dir == "" {
		return nil, errors.New("there is no journal without a state directory\nhint: leave out --state-dir none")
	}
	return journal.Open(ctx, dir, journal.Options{})
}

// OpenJournalToRead opens the journal to be read, where it cannot be written too.
func OpenJournalToRead(ctx context.Context, dir string, stderr io.Writer) (*journal.Journal, error) {
	j, err := OpenJournal(ctx, dir)
	if err == nil || dir == "" {
		return j, err
	}
	j, failed := journal.OpenReadOnly(ctx, dir, journal.Options{})
	if failed != nil {
		return nil, err
	}
	text, _ := ui.SplitHint(err.Error())
	console.Say(stderr, "the journal can only be read: %s", ui.Visible(text))
	return j, nil
}

// On says that runs are written down.
func (f *JournalFlags) On() bool { return !f.noJournal && f.StateDir() != "" }

// beginRun begins a new run in the journal, with its identifier in the header.
func beginRun(ctx context.Context, f *JournalFlags, h *record.Header, targets iter.Seq[fleet.Target]) (*Journaling, error) {
	return BeginAs(ctx, f, h, targets, "")
}

func BeginAs(ctx context.Context, f *JournalFlags, h *record.Header, targets iter.Seq[fleet.Target], parent string) (*Journaling, error) {
	if !f.On() {
		return nil, nil
	}
	j, err := OpenJournal(ctx, f.StateDir())
	if err != nil {
		return nil, fmt.Errorf("%w\nhint: --no-journal runs without one", err)
	}
	info := journal.RunInfo{Header: *h, NoCommand: f.noRecordCommand, Parent: parent, Options: f.Options, Settings: f.Settings}
	info.Run = ""
	r, err := j.Begin(ctx, info, targets)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("writing the run into the journal: %w\nhint: --no-journal runs without one", err), j.Close())
	}
	h.Run = r.ID()
	return &Journaling{Journal: j, Run: r}, nil
}

// session is 0 in a run's first process, and one more in each that goes on with
// it.
func (k *Journaling) session() int {
	if k == nil {
		return 0
	}
	return k.Run.Session()
}

// intend is what has to happen before a command leaves; nil for nothing.
func (k *Journaling) intend() func(fleet.Target, int) error {
	if k == nil {
		return nil
	}
	return func(t fleet.Target, attempt int) error { return k.Run.Intend(t.Index, attempt) }
}

func (k *Journaling) Result(r fleet.Result) error {
	if k == nil {
		return nil
	}
	if err := k.Run.Result(r); err != nil {
		return fmt.Errorf("writing into the journal: %w", err)
	}
	return nil
}

// KeptDays and keptBytes are what shoal prune keeps unless it is told otherwise.
const (
	KeptDays  = 90
	KeptBytes = 2 << 30
)

func (k *Journaling) End(interrupted bool, code int, failed error) error {
	if k == nil {
		return nil
	}
	how := journal.Ending{Interrupted: interrupted, ExitCode: code}
	if failed != nil {
		how.Failure = failed.Error()
	}
	return errors.Join(k.Run.End(how), k.Journal.Close())
}

// Abandon ends a run of which nothing was started.
func (k *Journaling) Abandon() error {
	return k.End(true, console.ExitUsage, errors.New("nothing was started"))
}
