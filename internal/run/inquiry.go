package run

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/remote"
	"shoal/internal/remote/become"
	"shoal/internal/ssh"
)

// An Inquiry asks the hosts of an earlier run what became of its commands, and
// records the answers. It holds the run's lock until End.
type Inquiry struct {
	// Info is the run, with the sessions that sent commands.
	Info *journal.RunInfo
	// Targets are those to ask, with the routes that were recorded.
	Targets []fleet.Target
	// Mute is the number of targets that were selected and cannot be asked: no intent
	// was recorded, and so they have no marker.
	Mute int

	remote   Remote
	journal  *journal.Journal
	recorded *journal.Run // nil: there is nothing to write
	asked    []query      // as Targets
	engine   engine.Options
}

// A query is one target to ask about.
type query struct {
	entry  journal.Entry // without output, which may be much in all
	target ssh.Target    // entry's, planned
	// sessions lists the sessions that sent its command, newest first.
	sessions []int
	// stored is the number of bytes of each stream that the journal has, if the result
	// is final.
	stored [fleet.NumStreams]int
}

// ReadMarked reads a run of which the hosts can be asked. name is as in
// [journal.Journal.Resolve].
func ReadMarked(ctx context.Context, j *journal.Journal, name string) (*journal.RunInfo, Remote, error) {
	id, err := j.Resolve(ctx, name)
	if err != nil {
		return nil, Remote{}, err
	}
	info, err := j.Run(ctx, id)
	if err != nil {
		return nil, Remote{}, err
	}
	r, err := RemoteOf(info)
	if err == nil && !r.Marked() {
		err = hint.Wrap(fmt.Errorf("the run %s left no markers on its hosts, so that they cannot be asked", id),
			"--once, --kill-on-cancel or --detach leave them")
	}
	return info, r, err
}

// ReadDetached is [ReadMarked] for a run whose commands were detached.
func ReadDetached(ctx context.Context, j *journal.Journal, name string) (*journal.RunInfo, Remote, error) {
	info, r, err := ReadMarked(ctx, j, name)
	if err == nil && !r.Detach {
		err = hint.Wrap(fmt.Errorf("the run %s was not detached", info.Run), "shoal show has its output")
	}
	return info, r, err
}

// Inquire locks a run that was read by [ReadMarked] or [ReadDetached] and reads the targets that sel
// selects. Where there are none, it writes nothing into the journal.
func Inquire(ctx context.Context, j *journal.Journal, info *journal.RunInfo, sel journal.Selector) (_ *Inquiry, err error) {
	q, run := &Inquiry{Info: info, journal: j}, info.Run
	if info.State != journal.Running { // there may be nothing to write
		list, err := j.Select(ctx, run, sel)
		if err != nil || len(list) == 0 {
			return q, err
		}
	}
	// Results are written in a session: its row holds the number of the last one, by
	// which missing rows are detected.
	if q.recorded, err = j.Resume(ctx, run); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, q.recorded.End(journal.Ending{Interrupted: true, ExitCode: exitUsage}))
		}
	}()
	// Whoever had the run until now may have written to it since it was read. This
	// inquiry's own session sends no command.
	if q.Info, q.remote, err = ReadMarked(ctx, j, run); err != nil {
		return nil, err
	}
	q.Info.Sessions = q.Info.Sessions[:min(len(q.Info.Sessions), q.recorded.Session())]
	for e, err := range j.Show(ctx, run, sel) {
		if err != nil {
			return nil, err
		}
		if len(e.Intents) == 0 {
			q.Mute++
			continue
		}
		a := query{entry: e, sessions: q.Info.SessionsOf(&e)}
		for s, o := range []*fleet.Output{&a.entry.Stdout, &a.entry.Stderr} {
			if final(&e) {
				a.stored[s] = len(o.Bytes)
			}
			o.Bytes = nil
		}
		q.asked = append(q.asked, a)
		q.Targets = append(q.Targets, e.Target)
	}
	return q, nil
}

// Become returns the user as whom the commands ran, who has the markers; nil means the account.
// Passwords may be added before Reach.
func (q *Inquiry) Become() *become.Options { return q.remote.Become }

// Reach sets how to reach the targets: the engine's options, of which those are used
// that [Query] uses, and the targets as they were planned, in the order of Targets.
func (q *Inquiry) Reach(o engine.Options, planned iter.Seq[ssh.Target]) (err error) {
	if o.Dialer, err = q.remote.Dialer(o.Dialer, o.Clock); err != nil {
		return err
	}
	q.engine = o
	i := 0
	for t := range planned {
		q.asked[i].target, q.asked[i].entry.Target = t, t.Target
		i++
	}
	return nil
}

// marker returns the marker of a command in a session.
func (q *Inquiry) marker(a *query, session int) remote.Marker {
	o := q.remote.wrap(q.Info.Run, session)
	return o.Marker(a.entry.Target)
}

// since returns an upper bound of the time since the command was sent, by the
// wall clock (the journal has no other). It is negative when the clock was set
// back behind a time that the run recorded.
func (q *query) since(info *journal.RunInfo, now time.Time) time.Duration {
	for _, s := range info.Sessions {
		if now.Before(s.Started) || now.Before(s.Ended) {
			return -1
		}
	}
	for _, i := range q.entry.Intents {
		if now.Before(i.At) {
			return -1
		}
	}
	return now.Sub(q.entry.Intents[0].At)
}

func (q *Inquiry) record(res fleet.Result) error {
	if err := q.recorded.Result(res); err != nil {
		return fmt.Errorf("writing into the journal: %w", err)
	}
	return nil
}

// End unlocks the run. How its last session ended stays as it was recorded; code is
// the exit code of this process.
func (q *Inquiry) End(code int) error {
	if q.recorded == nil {
		return nil
	}
	last := q.Info.Sessions[len(q.Info.Sessions)-1]
	return q.recorded.End(journal.Ending{Interrupted: last.Interrupted || last.Ended.IsZero(), ExitCode: code})
}
