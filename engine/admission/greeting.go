package admission

import (
	"time"

	"shoal/fleet"
)

// far is from when a greeting that took so long tells of the way more than of the
// server.
const far = 8 * time.Millisecond

// hear lets windows widen for connects that a server far away has taken, though
// it has not let them in yet: a server that has too many ends them instead of
// greeting. This saves half of the time in which a window is still small. Nobody
// tells of a greeting; so connects are asked, where nothing else can start.
func (d *Desk) hear(now time.Time) {
	if !d.listening() || now.Before(d.heard.Add(askPause)) {
		return
	}
	d.heard = now
	d.hopeful = false
	for t := d.fresh.first; t != nil; t = t.next {
		if t.greeted {
			continue
		}
		t.greeted = t.Timeline != nil && t.Timeline.Phase() > fleet.PhaseBanner
		took := now.Sub(t.began)
		t.places(func(p *place) bool {
			if t.greeted {
				p.window.greeted(took)
				d.list(p, now)
			} else {
				d.hopeful = d.hopeful || p.waiting.n > 0 && p.window.growing()
			}
			return true
		})
	}
}

// listening says whether a greeting may let something start.
func (d *Desk) listening() bool {
	return d.hopeful && d.queued > 0 && d.ready.len() == 0 && d.flying < d.Width()
}
