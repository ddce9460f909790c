package engine

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"time"

	"shoal/fleet"
	"shoal/internal/engine/limiter"
	"shoal/internal/ssh"
)

// feed passes every target to the limiter, stage by stage. After a stop it
// continues through the iterator so that each target has a result.
func (r *run) feed(targets iter.Seq[ssh.Target]) {
	listed := false
	defer func() {
		if p := recover(); p != nil {
			r.blame(fmt.Errorf("the targets could not be listed: panic: %v\n%s", p, debug.Stack()))
		} else if !listed {
			r.blame(errors.New("the targets could not be listed: their iterator called runtime.Goexit"))
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.fed = true
		r.changed()
	}()
	stages := stages{run: r}
	for t := range targets {
		if stages.admit() && r.enqueue(t) {
			continue
		}
		select {
		case r.skipped <- fleet.Result{Target: t.Target, End: r.skip(t)}:
		case <-r.left:
			listed = true
			return
		}
	}
	listed = true
}

// skip returns the end of a target that comes after the run has stopped starting, or
// after its agent was given up.
func (r *run) skip(t ssh.Target) fleet.End {
	r.mu.Lock()
	defer r.mu.Unlock()
	if gone := cmp.Or(r.gone, r.agent(t).gone); gone != nil && r.dialCtx.Err() == nil {
		if r.gone == nil { // the others go on
			r.brake(*gone)
		}
		return *gone
	}
	return cancelled(r.dialCtx)
}

// enqueue waits until the queue has room for t; false means that t is skipped.
func (r *run) enqueue(t ssh.Target) bool {
	for {
		if in, shut := r.tryEnqueue(t); in || shut {
			return in
		}
		<-r.room // stop sends too
	}
}

// tryEnqueue queues t if there is room. shut means that t is skipped.
func (r *run) tryEnqueue(t ssh.Target) (in, shut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shut() || r.agent(t).gone != nil {
		return false, true
	}
	if r.limiter.Waiting() >= r.opts.ahead() {
		return false, false
	}
	r.owed++
	r.limiter.Enqueue(&limiter.Job{Target: t}, r.opts.Clock.Now())
	r.changed()
	return true, false
}

// stages holds targets back until those before them have ended.
type stages struct {
	run  *run
	done int // ended stages
	let  int // admitted targets
	end  int // admitted targets at the end of this stage; 0 means that none has begun
}

// admit waits until the next target may start. false means that none may any more.
func (s *stages) admit() bool {
	opts := &s.run.opts
	if s.end == 0 && len(opts.Rollout) > 0 {
		s.open(0)
	}
	for s.done < len(opts.Rollout) && s.let >= s.end {
		if !s.run.nothingInFlight() || !s.between() {
			return false
		}
		s.done++
		if s.done < len(opts.Rollout) {
			s.open(s.done)
		} else {
			s.run.released(0)
			s.tell(s.done, 0)
		}
	}
	s.let++
	return s.run.dialCtx.Err() == nil
}

// open begins a stage.
func (s *stages) open(i int) {
	opts := &s.run.opts
	s.end = max(s.end, opts.Rollout[i].Of(opts.Targets), 1)
	if opts.Targets > 0 { // a resumed run may be smaller than its stages
		s.end = min(s.end, opts.Targets)
	}
	s.run.released(s.end)
	s.tell(i, 0)
}

// tell calls Options.Staged for stage i. pause is the time until the next one, or 0.
func (s *stages) tell(i int, pause time.Duration) {
	opts := &s.run.opts
	if opts.Staged == nil {
		return
	}
	at := Stage{Number: i + 1, Pause: pause}
	if all := opts.Targets; all > 0 {
		at.Stages = len(opts.Rollout)
		if opts.Rollout[at.Stages-1].Of(all) < all {
			at.Stages++
		}
		at.Targets = min(s.end, all) - s.let
		if i == len(opts.Rollout) {
			at.Targets = all - s.let
		}
	}
	opts.Staged(at)
}

// between pauses and calls Options.Check after a stage. It reports whether the run
// goes on.
func (s *stages) between() bool {
	r := s.run
	if s.run.opts.Pause > 0 {
		s.tell(s.done, s.run.opts.Pause)
		pause := time.NewTimer(r.opts.Pause)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-r.dialCtx.Done():
		}
	}
	if r.dialCtx.Err() == nil && r.opts.Check != nil {
		if err := r.opts.Check(r.dialCtx, s.done+1); err != nil {
			r.stopNew(&stopError{fmt.Errorf("the check after stage %d: %w", s.done+1, err)})
		}
	}
	return r.dialCtx.Err() == nil
}

// released sets how many targets the rollout has admitted, for the failure limits;
// 0 means all.
func (r *run) released(n int) {
	r.mu.Lock()
	r.brakes.goes = n
	r.mu.Unlock()
}

// nothingInFlight waits until every target that was fed has its result; false means
// that the run has stopped starting.
func (r *run) nothingInFlight() bool {
	for {
		r.mu.Lock()
		owed, shut := r.owed, r.shut()
		r.mu.Unlock()
		if shut {
			return false
		}
		if owed == 0 {
			return true
		}
		<-r.room
	}
}
