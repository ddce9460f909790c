package browse

import (
	"fmt"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"shoal/internal/runstate"
)

// BenchmarkKeyToFrame is a key, and the frame that it makes, at 10,000 hosts of which 1,000 are
// in flight, after 100 of these have changed: with 10 such changes a second, 1,000 updates a
// second. changes-ns and key-ns are its parts; what is drawn is to be on the screen 50 ms after
// the key, of which the renderer may wait 17 for its next frame.
func BenchmarkKeyToFrame(b *testing.B) {
	for _, filter := range []string{"", "i", "&7"} {
		b.Run("filter "+filter, func(b *testing.B) {
			f := flying(10_000, 1000)
			s := open(b, f, Options{Controls: f, Colour: true}, 200, 50)
			s.press(filter)
			if s.input != nil {
				s.press("Enter")
			}
			rows := make([]Row, 100)
			var changes, key time.Duration
			for b.Loop() {
				for i := range rows {
					at := (s.cursor + 7*i) % 1000
					rows[i] = s.all[at].Row
					rows[i].Activity = runstate.Running + runstate.Draining - rows[i].Activity
					rows[i].LastByte = now
				}
				begun := time.Now()
				s.onPolled(polledMsg{update: Update{Rows: rows}})
				middle := time.Now()
				s.Update(tea.KeyPressMsg{Code: 'j', Text: "j"})
				if len(s.View().Content) == 0 {
					b.Fatal("no frame")
				}
				changes += middle.Sub(begun)
				key += time.Since(middle)
			}
			b.ReportMetric(float64(changes.Nanoseconds())/float64(b.N), "changes-ns")
			b.ReportMetric(float64(key.Nanoseconds())/float64(b.N), "key-ns")
		})
	}
}

// BenchmarkText is a frame in the middle of an output of 1 MiB.
func BenchmarkText(b *testing.B) {
	f := ended()
	text := ""
	for i := range 20_000 {
		text += fmt.Sprintf("line %d of an output with some words\n", i)
	}
	o := f.outputs[0]
	o.Ends[0] = []byte(text)
	f.outputs[0] = o
	s := open(b, f, recordedOptions, 200, 50)
	s.press("Enter", "G")
	for b.Loop() {
		s.Update(tea.KeyPressMsg{Code: 'k', Text: "k"})
		_ = s.View()
	}
}
