package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/journal"
)

// An Earlier is a run in the journal, with the targets that were selected from it to
// run again.
type Earlier struct {
	Info *journal.RunInfo
	// Targets have their commands, and the routes that were recorded.
	Targets []fleet.Target
	// noCommand are selected targets that are left out of Targets: no command could be
	// made for them, such as for want of an attribute.
	noCommand []fleet.Target
	// taken is the number of selected targets that later reruns have taken, and takenBy
	// the last of these runs.
	taken   int
	takenBy string
	takers  map[fleet.Host]string // all hosts that later reruns have taken

	open       int          // targets that the run, if it is running, may still work on
	leaveTaken bool         // leave out of Targets what is taken
	unknown    map[int]bool // by index: targets whose command may have run
}

// ReadToRerun reads the targets of a run that sel selects, numbered anew, for
// [Earlier.Rerun]. name is as in [journal.Journal.Resolve]. It fails with
// journal.ErrRunning if the run still works on some of them.
func ReadToRerun(ctx context.Context, j *journal.Journal, name string, sel journal.Selector) (*Earlier, error) {
	e, _, err := read(ctx, j, name, sel, false)
	if err != nil {
		return nil, err
	}
	if err := e.checkRunning(e.Info); err != nil {
		return nil, err
	}
	for i := range e.Targets {
		e.Targets[i].Index = i
	}
	return e, nil
}

// checkRunning returns an error if the run still works on some of the targets.
func (e *Earlier) checkRunning(now *journal.RunInfo) error {
	if now.State != journal.Running || e.open == 0 {
		return nil
	}
	return fmt.Errorf("running %s again: %w, and may run the command itself on %d of these targets\n"+
		"hint: wait for its end, or name what has ended: failed, refused, never-started", now.Run, journal.ErrRunning, e.open)
}

// ResumeOptions say what a resumed run may do.
type ResumeOptions struct {
	// RerunUnknown also runs commands that may have run already.
	RerunUnknown bool
	// PastBrake also resumes a run that its own brake has stopped.
	PastBrake bool
	// PastRerun also runs targets that a later rerun has taken.
	PastRerun bool
}

// A BrakedError means that a run is not resumed because its own brake has stopped it.
type BrakedError struct {
	Run    string
	Braked int    // number of targets that were not started, or not again, for that
	Brake  string // what the brake said; "" means that this is not known
}

// Error implements error.
func (e *BrakedError) Error() string {
	return fmt.Sprintf("the run %s is not resumed: %s", e.Run, cmp.Or(e.Brake, "it stopped itself"))
}

// ReadToResume reads the targets that are left of a run, for [Earlier.Resume]; there
// may be none. The errors are those of [journal.Journal.Resume], and *BrakedError.
func ReadToResume(ctx context.Context, j *journal.Journal, name string, o ResumeOptions) (*Earlier, error) {
	sel := journal.Resumable
	if o.RerunUnknown {
		sel = journal.ResumableOrUnknown
	}
	e, brake, err := read(ctx, j, name, sel, !o.PastRerun)
	if err == nil && !o.RerunUnknown && Copies(e.Info) { // to copy twice does no harm
		e, brake, err = read(ctx, j, name, journal.ResumableOrUnknown, !o.PastRerun)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case e.Info.Watch() != "":
		return nil, fmt.Errorf("resuming run %s: %w", e.Info.Run, journal.ErrWatch)
	case e.Info.State == journal.Running:
		return nil, fmt.Errorf("resuming run %s: %w", e.Info.Run, journal.ErrRunning)
	case e.Info.State == journal.Incomplete:
		return nil, fmt.Errorf("resuming run %s: %w", e.Info.Run, journal.ErrIncomplete)
	case brake.Braked > 0 && !o.PastBrake:
		return nil, &brake
	}
	return e, nil
}

// read reads the selected targets, without those that a rerun has taken if leave is set.
func read(ctx context.Context, j *journal.Journal, name string, sel journal.Selector, leave bool) (_ *Earlier, brake BrakedError, err error) {
	id, err := j.Resolve(ctx, name)
	if err != nil {
		return nil, brake, err
	}
	e := &Earlier{unknown: make(map[int]bool), leaveTaken: leave}
	if e.Info, err = j.Run(ctx, id); err != nil {
		return nil, brake, err
	}
	if e.Info.NoCommand {
		return nil, brake, hint.Wrap(fmt.Errorf("the journal was told not to keep the command of the run %s", id),
			"give it again with shoal run")
	}
	brake.Run = id
	if e.takers, err = j.Taken(ctx, id); err != nil {
		return nil, brake, err
	}
	e.Targets, err = j.Select(ctx, id, func(entry *journal.Entry) bool {
		if !sel(entry) {
			return false
		}
		if entry.Target.Command == "" || expandedInVain(entry) {
			e.noCommand = append(e.noCommand, entry.Target)
			return false
		}
		if by, ok := e.takers[entry.Target.Host]; ok {
			e.taken, e.takenBy = e.taken+1, max(e.takenBy, by)
			if leave {
				return false
			}
		}
		if entry.Progress != journal.Done || len(e.Info.Sessions) > 1 && journal.ResumableOrUnknown(entry) {
			e.open++
		}
		if journal.Unknown(entry) {
			e.unknown[entry.Target.Index] = true
		}
		if entry.Progress == journal.Done && (entry.Reason == fleet.ReasonBrake || entry.Flags.Has(fleet.FlagBraked)) {
			brake.Braked++
			if entry.Reason == fleet.ReasonBrake && entry.Err != nil {
				brake.Brake = entry.Err.Error()
			}
		}
		return true
	})
	return e, brake, err
}

// LeftOut says which selected targets are not in Targets and why, for people; "" means none.
func (e *Earlier) LeftOut() string {
	switch n := len(e.noCommand); n {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%s is left out: the run could make no command for it", e.noCommand[0].Host)
	default:
		return fmt.Sprintf("%d targets such as %s are left out: the run could make no command for them", n, e.noCommand[0].Host)
	}
}

// Taken says how many selected targets later reruns have taken, for people; "" means none.
func (e *Earlier) Taken() string {
	switch {
	case e.taken == 0:
		return ""
	case e.leaveTaken:
		return fmt.Sprintf("targets left out because a rerun has taken them: %d (the last such run: %s)", e.taken, e.takenBy)
	default:
		return fmt.Sprintf("targets that a rerun has taken before: %d (the last such run: %s)", e.taken, e.takenBy)
	}
}

// expandedInVain reports whether a program before schema 3 recorded the command of a target
// although it refused to run it: its text has an empty value where an attribute is missing.
func expandedInVain(e *journal.Entry) bool {
	if e.Reason != fleet.ReasonBadTarget || e.Err == nil {
		return false
	}
	said := e.Err.Error()
	return strings.HasPrefix(said, "the command asks for the attribute ") || strings.Contains(said, "no quoting carries through every shell")
}

// Rerun begins a new run of the targets, planned. It fails if the run was resumed, or if
// another rerun has taken some of the targets, since e was read: [Earlier.Taken] did not say so.
func (e *Earlier) Rerun(ctx context.Context, j *journal.Journal, info journal.RunInfo, remote Remote, plan Plan) (*Run, error) {
	if err := remote.CheckInput(e.Info); err != nil {
		return nil, err
	}
	release, err := j.LockReruns(e.Info.Run)
	if err != nil {
		return nil, err
	}
	defer func() { _ = release() }() // it is released with this process at the latest
	if err := e.untaken(ctx, j); err != nil {
		return nil, err
	}
	info.Parent = e.Info.Run
	r, err := Begin(ctx, j, info, remote, plan)
	if err != nil {
		return nil, err
	}
	// Whoever resumes the run from now on sees that the targets are taken.
	now, err := j.Run(ctx, e.Info.Run)
	switch {
	case errors.Is(err, journal.ErrNoRun): // pruned meanwhile
		return r, nil
	case err == nil && len(now.Sessions) != len(e.Info.Sessions):
		err = e.meanwhile()
	case err == nil:
		err = e.checkRunning(now)
	}
	if err != nil {
		return nil, errors.Join(err, r.Abandon())
	}
	return r, nil
}

func (e *Earlier) meanwhile() error {
	return hint.Wrap(fmt.Errorf("somebody else has gone on with the run %s meanwhile", e.Info.Run), "try again")
}

// Resume goes on with the run, of which plan has the targets, in a new session. remote must leave markers where the
// run's own did: see [RemoteOf]. It fails if another process has gone on with the run
// since e was read: targets were selected before the run's lock is taken.
func (e *Earlier) Resume(ctx context.Context, j *journal.Journal, remote Remote, plan Plan) (*Run, error) {
	if err := remote.CheckInput(e.Info); err != nil {
		return nil, err
	}
	if err := remote.openPull(); err != nil {
		return nil, err
	}
	recorded, err := j.Resume(ctx, e.Info.Run)
	if err != nil {
		return nil, err
	}
	remote.key = e.Info.Options[optionKey]
	r := &Run{ID: e.Info.Run, plan: plan, remote: remote, again: e.unknown, recorded: recorded}
	err = e.stillLeft(ctx, j)
	if recorded.Session() != len(e.Info.Sessions) {
		err = e.meanwhile()
	}
	if err != nil {
		return nil, errors.Join(err, r.Abandon())
	}
	return r, nil
}

// stillLeft returns an error if a rerun has taken targets since e was read. It must be
// called with the run's lock held: a rerun that begins later sees it.
func (e *Earlier) stillLeft(ctx context.Context, j *journal.Journal) error {
	if !e.leaveTaken {
		return nil
	}
	return e.untaken(ctx, j)
}

// untaken returns an error if a rerun has taken targets since e was read.
func (e *Earlier) untaken(ctx context.Context, j *journal.Journal) error {
	taken, err := j.Taken(ctx, e.Info.Run)
	for i := 0; i < len(e.Targets) && err == nil; i++ {
		if host := e.Targets[i].Host; taken[host] != e.takers[host] {
			err = e.meanwhile()
		}
	}
	return err
}
