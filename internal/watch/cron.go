package watch

import (
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// A Cron is a list of times of day and days, as in crontab(5).
type Cron struct{ expr string }

// ParseCron reads five fields (minute, hour, day of the month, month, day of the week), or a word
// such as @daily. It returns an error for what is neither, and for times that never come.
func ParseCron(expr string) (*Cron, error) {
	expr = strings.Join(strings.Fields(expr), " ")
	// The library also takes a sixth field, which is seconds for some programs and years for others.
	if word := strings.HasPrefix(expr, "@"); !word && strings.Count(expr, " ") != 4 || !gronx.IsValid(expr) {
		return nil, fmt.Errorf("%.100q is no schedule", expr)
	}
	c := &Cron{expr: expr}
	if c.next(time.Now()).IsZero() {
		return nil, fmt.Errorf("the times of %.100q never come", expr)
	}
	return c, nil
}

// next returns the first time after t, in t's time zone; zero if there is none.
func (c *Cron) next(t time.Time) time.Time {
	next, err := gronx.NextTickAfter(c.expr, t, false)
	if err != nil || !next.After(t) {
		return time.Time{}
	}
	return next
}

// shortest returns the shortest time between two of the ticks after t, of as many as are looked at.
func (c *Cron) shortest(t time.Time) time.Duration {
	least := 365 * 24 * time.Hour
	t = c.next(t)
	for range 50 {
		next := c.next(t)
		if next.IsZero() {
			break
		}
		least, t = min(least, next.Sub(t)), next
	}
	return least
}
