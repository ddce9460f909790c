package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/ui"
	"shoal/record"
)

// JournalFlags are the flags that decide whether and where a run is recorded.
type JournalFlags struct {
	noJournal       bool
	noRecordCommand bool
	StateDir        func() string
	Settings        *journal.Settings // of the run, kept with it
}

// Journal returns the flags as a group; dir returns the state directory.
func (f *JournalFlags) Journal(dir func() string) flags.FlagGroup {
	g := flags.NewGroup("Journal")
	g.BoolVar(&f.noJournal, "no-journal", false, "keep no journal of this run: no history, no resume")
	g.BoolVar(&f.noRecordCommand, "no-record-command", false, "keep no text of the command in the journal")
	f.StateDir = dir
	return g
}

// OpenJournal opens the journal in a state directory.
func OpenJournal(ctx context.Context, dir string) (*journal.Journal, error) {
	if dir == "" {
		return nil, hint.New("there is no journal without a state directory",
			"leave out --state-dir none, and set HOME where it is empty")
	}
	return journal.Open(ctx, dir, journal.Options{})
}

// ErrNoJournal means that the state directory has no journal yet.
var ErrNoJournal = errors.New("there is no journal")

// OpenExisting opens the journal of earlier runs, and creates none (ErrNoJournal).
func OpenExisting(ctx context.Context, dir string) (*journal.Journal, error) {
	if dir != "" && !journal.Exists(dir) {
		return nil, hint.Wrap(fmt.Errorf("%w in %q: no run was recorded there", ErrNoJournal, dir),
			"--state-dir names the directory of another")
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
	text, _ := hint.Split(err.Error())
	console.Say(stderr, "the journal can only be read: %s", ui.Visible(text))
	return j, nil
}

// On reports whether runs are recorded.
func (f *JournalFlags) On() bool { return !f.noJournal && f.StateDir() != "" }

// NoCommand reports whether no text of the command is kept.
func (f *JournalFlags) NoCommand() bool { return f.noRecordCommand }

// Open opens the journal of a new run; nil keeps none.
func (f *JournalFlags) Open(ctx context.Context) (*journal.Journal, error) {
	if !f.On() {
		return nil, nil
	}
	j, err := OpenJournal(ctx, f.StateDir())
	if err != nil {
		return nil, hint.Wrap(err, "--no-journal runs without one")
	}
	return j, nil
}

// Info returns what the journal keeps of a new run beside its targets.
func (f *JournalFlags) Info(h record.Header) journal.RunInfo {
	return journal.RunInfo{Header: h, NoCommand: f.noRecordCommand, Settings: f.Settings}
}

// KeptDays and KeptBytes are the defaults of shoal prune.
const (
	KeptDays  = 90
	KeptBytes = 2 << 30
)

// maxDays is a hundred years; a Duration holds less than three hundred.
const maxDays = 36500

// Days returns the value of a flag --days, which is at least least.
func Days(days, least int) (time.Duration, error) {
	if days < least || days > maxDays {
		return 0, fmt.Errorf("--days %d: want %d to %d", days, least, maxDays)
	}
	return time.Duration(days) * 24 * time.Hour, nil
}
