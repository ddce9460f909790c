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

// JournalFlags are the flags that decide whether and where a run is recorded.
type JournalFlags struct {
	noJournal       bool
	noRecordCommand bool
	StateDir        func() string
	Options         map[string]string // of the run, kept with it
	Settings        *journal.Settings // of the run, kept with it
}

func (f *RunFlags) journal() flags.FlagGroup {
	g := flags.NewGroup("Journal")
	g.BoolVar(&f.noJournal, "no-journal", false, "keep no journal of this run: no history, no resume")
	g.BoolVar(&f.noRecordCommand, "no-record-command", false, "keep no text of the command in the journal")
	f.JournalFlags.StateDir = f.State
	return g
}

// A Journaling records one run in the journal. A nil one records nothing.
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

// ErrNoJournal means that the state directory has no journal yet.
var ErrNoJournal = errors.New("there is no journal")

// OpenExisting opens the journal of earlier runs, and creates none (ErrNoJournal).
func OpenExisting(ctx context.Context, dir string) (*journal.Journal, error) {
	if dir != "" && !journal.Exists(dir) {
		return nil, fmt.Errorf("%w in %q: no run was recorded there\nhint: --state-dir names the directory of another", ErrNoJournal, dir)
	}
	return OpenJournal(ctx, dir)
}

// OpenJournalToRead opens an existing journal for reading; read-only where it
// cannot be written.
func OpenJournalToRead(ctx context.Context, dir string, stderr io.Writer) (*journal.Journal, error) {
	j, err := OpenExisting(ctx, dir)
	if err == nil || dir == "" || errors.Is(err, ErrNoJournal) {
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

// On reports whether runs are recorded.
func (f *JournalFlags) On() bool { return !f.noJournal && f.StateDir() != "" }

// beginRun begins a new run in the journal and sets its identifier in h.
func beginRun(ctx context.Context, f *JournalFlags, h *record.Header, targets iter.Seq[fleet.Target]) (*Journaling, error) {
	return BeginAs(ctx, f, h, targets, "")
}

// BeginAs is beginRun for a run that repeats targets of the run parent; ""
// means none.
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

// session returns the number of processes that worked on the run before this
// one.
func (k *Journaling) session() int {
	if k == nil {
		return 0
	}
	return k.Run.Session()
}

// intend returns the function that records an intent before a command is sent,
// or nil without a journal.
func (k *Journaling) intend() func(fleet.Target, int) error {
	if k == nil {
		return nil
	}
	return func(t fleet.Target, attempt int) error { return k.Run.Intend(t.Index, attempt) }
}

// Result records the result of one target.
func (k *Journaling) Result(r fleet.Result) error {
	if k == nil {
		return nil
	}
	if err := k.Run.Result(r); err != nil {
		return fmt.Errorf("writing into the journal: %w", err)
	}
	return nil
}

// KeptDays and KeptBytes are the defaults of shoal prune.
const (
	KeptDays  = 90
	KeptBytes = 2 << 30
)

// End records how the run ended, and closes the journal.
func (k *Journaling) End(interrupted bool, code int, failed error) error {
	if k == nil {
		return nil
	}
	return errors.Join(k.endRun(interrupted, code, failed), k.Journal.Close())
}

// endRun records how the run ended, and leaves the journal open.
func (k *Journaling) endRun(interrupted bool, code int, failed error) error {
	if k == nil {
		return nil
	}
	how := journal.Ending{Interrupted: interrupted, ExitCode: code}
	if failed != nil {
		how.Failure = failed.Error()
	}
	return k.Run.End(how)
}

// amend records another exit code, if it differs from the one recorded before, and
// closes the journal.
func (k *Journaling) amend(before, code int) error {
	if k == nil {
		return nil
	}
	var err error
	if code != before {
		err = k.Run.Amend(code)
	}
	return errors.Join(err, k.Journal.Close())
}

// Abandon ends a run that started nothing.
func (k *Journaling) Abandon() error {
	return k.End(true, console.ExitUsage, errors.New("nothing was started"))
}
