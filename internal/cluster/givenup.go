package cluster

import (
	"time"

	"shoal/internal/ssh"
)

// givenUp tells workers that hosts of a shard are not to be started, or are to be left.
type givenUp struct {
	Shard int   `json:"shard"`
	Hosts []int `json:"hosts"` // positions in the shard
}

// tellGivenUp tells the workers which hosts a person has given up. A host that has begun, and whose end no worker
// has told within abortGrace, is left. Without an intent in the log it is not: a worker that lives has not
// begun it and will say so, and a shard without one is closed.
func (c *Coordinator) tellGivenUp() {
	now := time.Now()
	tell := make(map[string][]givenUp) // by pool
	var silent []*host
	c.mu.Lock()
	if c.byHand {
		for _, s := range c.shards {
			list := s.givenUpLocked()
			for _, i := range list {
				if s.stateLocked(i).intended != 0 && now.Sub(s.hosts[i].givenUp) > abortGrace {
					silent = append(silent, s.hosts[i])
				}
			}
			if len(list) > 0 {
				tell[s.pool] = append(tell[s.pool], givenUp{s.number, list})
			}
		}
	}
	c.mu.Unlock()
	for pool, list := range tell {
		for _, g := range list {
			_ = c.conn.nc.Publish(controlSubject(pool, c.run), encode(g)) // it is told again
		}
	}
	for _, h := range silent {
		h.leave(ssh.ErrByHand)
	}
}

// givenUpLocked returns the positions of the hosts that a person has given up and whose end no worker has told.
func (s *shard) givenUpLocked() (list []int) {
	for i, h := range s.hosts {
		if st := s.stateLocked(i); !h.givenUp.IsZero() && !st.result && !st.late {
			list = append(list, i)
		}
	}
	return list
}

// stateLocked returns what the log says of a host.
func (s *shard) stateLocked(i int) hostState {
	if i >= len(s.fold.hosts) { // it was not read yet, or is not of this shard
		return hostState{}
	}
	return s.fold.hosts[i]
}

// givesUpLocked reports whether a shard has a host that was given up: no worker takes it any more. Unless
// one has it, it is closed, which proves what was not begun, and another shard has the other hosts.
func (c *Coordinator) givesUpLocked(s *shard) bool { return c.byHand && len(s.givenUpLocked()) > 0 }
