// Package runstate has the state of a run while it goes on: the results so far, and what each
// attempt under way does, since when, and when its last output came. Everything that shows a
// run live reads this one state: the progress line, the list of what is in flight, messages at
// a stop.
//
// The engine's Options.Watch and the results feed it:
//
//	engine ─▸ Connecting, Running, Ended, Waiting ┐
//	results ─▸ Result ────────────────────────────┼─▸ State ─▸ Now: counts
//	rollout ─▸ Stage; a stop ─▸ Stopping ─────────┘         └─▸ InFlight: each attempt
//
// Its size depends on the number of attempts under way, not on that of targets.
package runstate

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"shoal/fleet"
)

// An Attempt is an attempt that is under way. Its methods are safe for concurrent use and do
// not block.
type Attempt interface {
	// Of returns the target.
	Of() fleet.Target
	// Number counts from 1.
	Number() int
	// Started returns when the attempt began.
	Started() time.Time
	// Phase returns the current phase.
	Phase() fleet.Phase
	// LastOutput returns when the last byte of the command's output came; zero: none has.
	LastOutput() time.Time
	// Tail returns a copy of the end of what is kept of a stream, at most limit bytes, and
	// how many bytes are kept.
	Tail(s fleet.Stream, limit int) (end []byte, kept int64)
	// Cancel ends the attempt, and its target gets no other.
	Cancel()
}

// An Activity is what an attempt under way does: a group of phases, in words for people.
type Activity uint8

// The activities, in the order in which an attempt goes through them.
const (
	Resolving     Activity = iota // the name to an address
	Connecting                    // TCP, key exchange, host key, authentication
	Ready                         // connected, and held until all are (a barrier)
	Running                       // the command was sent, and its exit status is not known
	Draining                      // its exit status is known, output may still come
	Storing                       // it has ended, and its result is not recorded yet
	NumActivities                 // number of activities; not an activity
)

var activityNames = [NumActivities]string{"resolving", "connecting", "ready", "running", "draining", "storing"}

func (a Activity) String() string { return activityNames[a] }

// A State is the state of one run. Its methods are safe for concurrent use.
type State struct {
	total   int
	started time.Time

	mu       sync.Mutex
	watched  bool // attempts are told, not only results
	barrier  bool // what is connected waits until all others are
	underway map[int]*underway
	done     int
	outcomes [fleet.NumOutcomes]int
	last     time.Time // of the last result
	times    durations // of the attempts that ran the command
	stopping bool
	stage    Stage
	size     int64        // see Sending
	flying   func() int64 // nil if no files are sent
}

// underway is an attempt with what the engine has told of it.
type underway struct {
	attempt          Attempt
	connected, ended bool
	cancelled        bool // by Cancel
}

// A Stage is a stage of a rollout. The zero value means that there is none.
type Stage struct {
	Number, Stages int // from 1, and how many there are; 0 if unknown
	Targets        int // of this stage; 0 if unknown
	// Next is when the next stage begins, after this one has ended; zero: this one goes on.
	Next time.Time
}

// New returns the state of a run that begins now, with this number of targets; 0 means
// unknown.
func New(total int) *State {
	return &State{total: total, started: time.Now(), underway: make(map[int]*underway)}
}

// Barrier is told when connected targets are held until all others are connected.
func (s *State) Barrier() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.barrier = true
}

// Connecting is told when an attempt begins.
func (s *State) Connecting(a Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched = true
	s.underway[a.Of().Index] = &underway{attempt: a}
}

// Running is told when the connection of an attempt is ready for the command.
func (s *State) Running(a Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.underway[a.Of().Index]; u != nil && u.attempt == a {
		u.connected = true
	}
}

// Ended is told when an attempt is over. It is counted as Storing until Result or Waiting.
func (s *State) Ended(a Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.underway[a.Of().Index]; u != nil && u.attempt == a {
		u.ended = true
	}
}

// Waiting is told when an attempt has ended and the target waits for another.
func (s *State) Waiting(t fleet.Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.underway[t.Index]; u != nil && u.ended {
		delete(s.underway, t.Index)
	}
}

// Result is told of each result.
func (s *State) Result(r fleet.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.underway[r.Target.Index]
	delete(s.underway, r.Target.Index)
	s.done++
	s.outcomes[r.Outcome]++
	s.last = time.Now()
	if r.Outcome == fleet.OutcomeCancelled && (u == nil || !u.cancelled) {
		s.stopping = true
	}
	if r.Outcome.Ran() {
		s.times.add(r.Took.Total())
	}
}

// Stage sets the stage of a rollout.
func (s *State) Stage(st Stage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stage = st
}

// Sending is told how many bytes each target gets, and how many were sent to those that have
// not ended. flying must not block; nil means that no files are sent.
func (s *State) Sending(size int64, flying func() int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size, s.flying = size, flying
}

// Stopping is told when nothing more is started.
func (s *State) Stopping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
}

// A Snapshot is the state at one moment.
type Snapshot struct {
	Total    int // targets; 0 if unknown
	Done     int // targets with a result
	Outcomes [fleet.NumOutcomes]int
	// Watched means that the numbers of Active and Waiting are known.
	Watched bool
	Active  [NumActivities]int
	// Waiting is the number of targets that wait for their first attempt or another one; 0
	// if Total is unknown.
	Waiting  int
	Elapsed  time.Duration // since the beginning
	Quiet    time.Duration // since the last result; Elapsed if there is none
	Stopping bool          // nothing more is started
	Stage    Stage
	Pause    time.Duration // until Stage.Next; 0: no pause
	// Bytes of files were sent, of AllBytes; both are 0 if no files are sent.
	Bytes, AllBytes int64
	// Median is that of the times of the targets whose commands have ended; 0 if there are
	// too few.
	Median time.Duration
	// SlowAfter is the age from which an attempt is called slow, and Slow how many are; 0
	// if Median is.
	SlowAfter time.Duration
	Slow      int
}

const (
	// slowTimes is how many times the median is slow.
	slowTimes = 3
	// slowLeast is the least age that is called slow.
	slowLeast = 2 * time.Second
	// medianOf is the least number of times that has a median worth telling.
	medianOf = 5
)

// InFlight is the number of attempts under way.
func (n *Snapshot) InFlight() int {
	sum := 0
	for _, count := range n.Active {
		sum += count
	}
	return sum
}

// Rate returns the results per second; 0 if there is none.
func (n *Snapshot) Rate() float64 {
	if n.Done == 0 || n.Elapsed <= 0 {
		return 0
	}
	return float64(n.Done) / n.Elapsed.Seconds()
}

// Left returns the time until the last result is expected, by bytes if files are sent. It is
// not known before as many targets have run as are in flight, or bytes were sent for a second;
// while no results come, in a pause, or once the run stops.
func (n *Snapshot) Left() (left time.Duration, known bool) {
	const least = 500 * time.Millisecond // less is 0 when rounded
	if n.AllBytes > 0 {
		left = time.Duration(float64(n.Elapsed) * float64(n.AllBytes-n.Bytes) / float64(max(n.Bytes, 1)))
		return min(left, mostLeft), n.Bytes > 0 && !n.Stopping && n.Pause == 0 && n.Elapsed > time.Second && left >= least
	}
	ran := n.Done - n.Outcomes[fleet.OutcomeNeverStarted] - n.Outcomes[fleet.OutcomeRefused] - n.Outcomes[fleet.OutcomeCancelled]
	rate := n.Rate()
	if n.Total == 0 || rate == 0 || n.Stopping || n.Pause > 0 || ran <= 0 || ran < n.InFlight() {
		return 0, false
	}
	seconds := float64(n.Total-n.Done) / rate
	if seconds > mostLeft.Seconds() {
		return mostLeft, true
	}
	left = time.Duration(seconds * float64(time.Second))
	return left, left >= least && n.Quiet <= left
}

// mostLeft is the longest time that Left returns.
const mostLeft = 1000 * time.Hour

// Now returns the state at a time.
func (s *State) Now(now time.Time) Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := Snapshot{
		Total: s.total, Done: s.done, Outcomes: s.outcomes, Watched: s.watched,
		Elapsed: now.Sub(s.started), Stopping: s.stopping, Stage: s.stage,
	}
	n.Quiet = n.Elapsed
	if s.done > 0 {
		n.Quiet = now.Sub(s.last)
	}
	if !s.stage.Next.IsZero() {
		n.Pause = max(s.stage.Next.Sub(now), 1)
	}
	if s.flying != nil {
		n.AllBytes = int64(s.total) * s.size
		n.Bytes = min(int64(s.done)*s.size+s.flying(), n.AllBytes)
	}
	n.Median, n.SlowAfter = s.slowLocked()
	for _, u := range s.underway {
		n.Active[u.activity(s.barrier)]++
		if u.slow(now, n.SlowAfter) {
			n.Slow++
		}
	}
	if s.total > 0 {
		n.Waiting = max(s.total-s.done-len(s.underway), 0)
	}
	return n
}

// slowLocked returns Snapshot.Median and SlowAfter.
func (s *State) slowLocked() (median, after time.Duration) {
	if s.times.count < medianOf {
		return 0, 0
	}
	median = s.times.quantile(0.5)
	return median, max(slowTimes*median, slowLeast)
}

func (u *underway) slow(now time.Time, after time.Duration) bool {
	return after > 0 && !u.ended && now.Sub(u.attempt.Started()) > after
}

func (u *underway) activity(barrier bool) Activity {
	if u.ended {
		return Storing
	}
	switch p := u.attempt.Phase(); {
	case p == fleet.PhaseResolve:
		return Resolving
	case p < fleet.PhaseSession && !u.connected:
		return Connecting
	case p < fleet.PhaseSession && barrier:
		return Ready
	case p == fleet.PhaseDrain:
		return Draining
	}
	return Running
}

// An InFlight is one attempt under way at one moment.
type InFlight struct {
	Target   fleet.Target
	Attempt  int // from 1
	Activity Activity
	Phase    fleet.Phase
	Age      time.Duration // of the attempt
	Output   bool          // the command has written output
	Quiet    time.Duration // since the last output; valid if Output is set
	Slow     bool          // older than Snapshot.SlowAfter
}

// InFlight returns the attempts under way, the oldest first, and of equal age by index.
func (s *State) InFlight(now time.Time) []InFlight {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, after := s.slowLocked()
	all := make([]InFlight, 0, len(s.underway))
	for _, u := range s.underway {
		a := u.attempt
		f := InFlight{
			Target: a.Of(), Attempt: a.Number(), Activity: u.activity(s.barrier), Phase: a.Phase(),
			Age: max(now.Sub(a.Started()), 0), Slow: u.slow(now, after),
		}
		if u.ended {
			f.Phase = fleet.PhaseStore
		}
		if last := a.LastOutput(); !last.IsZero() {
			f.Output, f.Quiet = true, max(now.Sub(last), 0)
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b InFlight) int {
		return cmp.Or(cmp.Compare(b.Age, a.Age), cmp.Compare(a.Target.Index, b.Target.Index))
	})
	return all
}

// Cancel ends the attempt at a target that is under way; false means that there is none.
func (s *State) Cancel(index int) bool {
	s.mu.Lock()
	u := s.underway[index]
	if u == nil || u.ended {
		s.mu.Unlock()
		return false
	}
	u.cancelled = true
	s.mu.Unlock()
	u.attempt.Cancel()
	return true
}

// Tail returns the end of the output so far of an attempt that is under way, at most limit
// bytes of each stream, and how many bytes are kept of each. ok is false if there is none.
func (s *State) Tail(index, limit int) (ends [fleet.NumStreams][]byte, kept [fleet.NumStreams]int64, ok bool) {
	s.mu.Lock()
	u := s.underway[index]
	ok = u != nil && !u.ended
	s.mu.Unlock()
	if !ok {
		return ends, kept, false
	}
	for stream := range fleet.NumStreams {
		ends[stream], kept[stream] = u.attempt.Tail(stream, limit)
	}
	return ends, kept, true
}
