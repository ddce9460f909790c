package ssh

import (
	"testing"
	"time"
)

// TestKeepalive counts how often a silent server is asked. A stop of this process is worth
// one keepalive more, whatever was unanswered, and a message begins anew.
func TestKeepalive(t *testing.T) {
	for _, c := range []struct {
		name    string
		most    int
		stopped int // the silence during which the process is stopped; 0: none
		heard   int // the silence after which the server sends something; 0: none
		want    int // keepalives before the server counts as vanished
	}{
		{"default", 0, 0, 0, 3},
		{"none", -1, 0, 0, 0},
		{"one", 1, 0, 0, 1},
		{"stopped early", 0, 2, 0, 3},
		{"stopped at the end", 0, 4, 0, 4},
		{"stopped, none", -1, 1, 0, 1},
		{"heard", 0, 0, 2, 5},
	} {
		k := Timeouts{Alive: time.Second, AliveMax: c.most}.Keepalive()
		start := time.Unix(1000, 0)
		now, asked := start, 0
		k.Heard(now)
		var stopped time.Duration
		for i := 1; ; i++ {
			if want := now.Add(time.Second); !k.Next().Equal(want) {
				t.Fatalf("%s: silence %d is to end at %v, want %v", c.name, i, k.Next(), want)
			}
			now = k.Next()
			if i == c.stopped {
				stopped = time.Hour
			}
			if k.Silent(now, stopped) != nil {
				break
			}
			asked++
			if i == c.heard {
				k.Heard(now)
			}
		}
		if asked != c.want {
			t.Errorf("%s: %d keepalives, want %d", c.name, asked, c.want)
		}
	}
	never := Timeouts{Alive: -1}.Keepalive()
	if never.Heard(time.Now()); !never.Next().IsZero() {
		t.Errorf("disabled, and asks at %v", never.Next())
	}
}
