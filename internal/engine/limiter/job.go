package limiter

import (
	"sync/atomic"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// A Job is a target that has no result yet.
type Job struct {
	Target ssh.Target
	// Attempts is the number of attempts that have begun.
	Attempts int
	// Earlier are the attempts that have ended, and Written is what the last of them wrote of
	// which it is unknown whether the command ran: the target's result may be that attempt's.
	Earlier []fleet.Try
	Written Written
	// Intended is set once an attempt has recorded that the command is about to be
	// sent.
	Intended bool
	// Signatures is how many a forwarded agent has made for the host, in all attempts.
	Signatures int
	// PassedOver counts the attempts that failed because this machine lacked a
	// resource.
	PassedOver int
	// Suspect means that the last connect ended by a deadline: the next one counts
	// as slow from its beginning.
	Suspect bool
	// Timeline tells the phase of the connect in progress. The caller sets it
	// before it calls Next again.
	Timeline *fleet.Timeline
	// Signed tells that the connect in progress costs nothing here any more until the server has
	// let us in, as ssh.Progress has it. The caller sets it with Timeline.
	Signed *atomic.Bool

	began      time.Time // of the connect in progress
	serial     uint64    // its number among all connects
	bannerSeen bool      // its windows have grown for the server's banner
	in         *jobList  // of the connect in progress: Limiter.fast, quiet, slow or atServer; nil: of none
	counted    [numPhaseLimits]bool
	abandoned  bool
	asks       bool        // in Limiter.asking
	path       []*endpoint // jump hosts, then the server; nil while not attached
	direct     [1]*endpoint
	next, prev *Job // in a jobList
}

// Abandoned reports whether j was given up because its server has turned
// everything away.
func (j *Job) Abandoned() bool { return j.abandoned }

func (j *Job) server() *endpoint { return j.path[len(j.path)-1] }

// closed returns the first endpoint on the path that takes no more connects, or
// nil.
func (j *Job) closed(now time.Time) *endpoint {
	for _, e := range j.path {
		if !e.open(now) {
			return e
		}
	}
	return nil
}

// A jobList is a doubly linked queue of jobs. A job is in one of them at most.
type jobList struct {
	first, last *Job
	n           int
}

func (q *jobList) push(j *Job) {
	j.prev, j.next = q.last, nil
	if q.last == nil {
		q.first = j
	} else {
		q.last.next = j
	}
	q.last = j
	q.n++
}

func (q *jobList) remove(j *Job) {
	if j.prev == nil {
		q.first = j.next
	} else {
		j.prev.next = j.next
	}
	if j.next == nil {
		q.last = j.prev
	} else {
		j.next.prev = j.prev
	}
	j.prev, j.next = nil, nil
	q.n--
}

func (q *jobList) pop() *Job {
	j := q.first
	q.remove(j)
	return j
}

// Written is what an attempt has written. Held is how many bytes of it count as held in memory.
type Written struct {
	Streams [fleet.NumStreams]fleet.Output
	Held    int
}
