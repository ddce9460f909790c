// Package shoal runs a command on many machines over SSH and tells for each whether
// the command ran, did not run, or may have run.
//
//	targets, err := shoal.Hosts("web[01-20]", "root@db1:2222")
//	if err != nil {
//		log.Fatal(err)
//	}
//	for res, err := range shoal.Run(ctx, targets, "uptime", shoal.Options{}) {
//		if err != nil {
//			log.Fatal(err) // the run's own failure; a host's failure is a result
//		}
//		fmt.Printf("%s: %s %s", res.Target.Host, res.Outcome, res.Stdout.Bytes)
//	}
//
// Every target has exactly one result. No command runs twice unless
// Limits.Idempotent or ResumeOptions.RerunUnknown allows it. Host keys are checked
// against known_hosts. With a [Journal] a run can be resumed, repeated and asked
// about later, also by the program shoal. Package hosts reads inventories, package
// simfleet simulates a fleet for tests. The package prints nothing.
package shoal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/internal/engine"
	"shoal/internal/journal"
	"shoal/internal/placeholder"
	"shoal/internal/run"
	"shoal/record"
)

// Aliases of the types of package fleet that most callers need.
type (
	Host    = fleet.Host
	Target  = fleet.Target
	Result  = fleet.Result
	Outcome = fleet.Outcome
)

// Hosts returns the targets that the expressions name, in order and without
// duplicates: names, user@host:port, [v6]:port, node[001-100], comma-separated
// lists. An *hosts.Problems reports all bad expressions at once.
func Hosts(expressions ...string) (iter.Seq[Target], error) {
	list, err := hosts.Load(hosts.Options{Hosts: expressions})
	if err != nil {
		return nil, err
	}
	return list.Targets(1), nil
}

// Run runs the command on every target and yields results as they complete. {host},
// {user}, {port} and {index} in it are replaced for each target where they stand outside
// quotes; {host|sh} is replaced everywhere, and quoted for the shell. The targets must be
// the same each time that they are iterated, and have an Index each.
//
// An error is the run's own, such as invalid options, and comes last; a host's failure
// is a result. Ending ctx abandons running commands, whose outcome is then unknown, and
// every target still has a result. Leaving the loop does the same without the results.
func Run(ctx context.Context, targets iter.Seq[Target], command string, o Options) iter.Seq2[Result, error] {
	return o.run(ctx, targets, func(context.Context) (*job, error) {
		return &job{text: command, title: command, where: placeholder.Unquoted}, nil
	})
}

// run does what prepare returns.
func (o Options) run(ctx context.Context, targets iter.Seq[Target], prepare func(context.Context) (*job, error)) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		err := o.Validate() // before reading files or asking for passphrases
		todo := new(job)
		if err == nil {
			todo, err = prepare(ctx)
		}
		if err != nil {
			yield(Result{}, err)
			return
		}
		if todo.close != nil {
			defer func() { _ = todo.close() }() // it was only read, or its results were
		}
		template, err := placeholder.Parse(todo.text, todo.where)
		if err != nil {
			yield(Result{}, fmt.Errorf("reading the command: %w", err))
			return
		}
		remote, err := o.input(ctx, o.Remote.remote())
		if err != nil {
			yield(Result{}, err)
			return
		}
		defer wipe(remote)
		todo.add(&remote)
		w, err := o.open(ctx, targets, template, o.entry())
		if err != nil {
			yield(Result{}, err)
			return
		}
		defer w.close()
		var j *journal.Journal
		if o.Journal != nil {
			j = o.Journal.journal
		}
		r, err := run.Begin(ctx, j, w.info(todo.title), remote, w.plan)
		w.results(ctx, r, err)(yield)
	}
}

// info returns what the journal keeps of a new run beside its targets.
func (w *work) info(command string) journal.RunInfo {
	return journal.RunInfo{Settings: w.opts.settings(w.config), Header: record.Header{
		Program: filepath.Base(os.Args[0]),
		Started: time.Now(),
		Command: command,
		Targets: w.engine.Targets,
		Fanout:  cmp.Or(w.engine.Fanout, engine.DefaultFanout().Fanout),
	}}
}

// results runs r, unless it could not be begun, and ends it.
func (w *work) results(ctx context.Context, r *run.Run, failed error) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		if failed != nil {
			yield(Result{}, failed)
			return
		}
		e := w.engine
		var s *stream
		if w.opts.Output != nil {
			s = newStream(w.opts.Output)
			defer s.Close()
			e.Follow = s.Announce
		}
		var lost error
		left := false
		for res, err := range r.Results(ctx, run.Options{Engine: e, Lost: func(err error) { lost = err }}) {
			if err != nil {
				failed = err
				break
			}
			if s != nil {
				s.result(&res)
			}
			if left = !yield(res, nil); left {
				break
			}
		}
		for _, h := range r.GivenUp() {
			w.opts.notice(fmt.Sprintf("given up, and may still run: %s", h))
		}
		if n, why := r.MarkersLeft(); n > 0 {
			w.opts.notice(fmt.Sprintf("markers that could not be removed from their hosts: %d, the first because: %v", n, why))
		}
		how := journal.Ending{Interrupted: left || ctx.Err() != nil || closed(w.opts.Drain)}
		if failed != nil {
			how.Failure = failed.Error()
		}
		switch err := errors.Join(failed, cmp.Or(r.End(how), lost)); {
		case err == nil:
		case left:
			w.opts.notice(err.Error())
		default:
			yield(Result{}, err)
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (o Options) notice(text string) {
	if o.Notice != nil {
		o.Notice(text)
	}
}
