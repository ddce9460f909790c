package output

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"shoal/fleet"
	"shoal/internal/watch"
	"shoal/record"
)

// WatchMetrics are the numbers of a watch after a tick.
type WatchMetrics struct {
	Name          string // see Metrics
	Ticks, Missed int
	Changes       map[watch.Kind]int // events since the start, by kind
	// Tick is the summary of the last tick, which began and ended then.
	Tick         *record.Summary
	Begun, Ended time.Time
	Late         time.Duration // after it was due
	State        watch.State
	// Held and Dialled count the connections of the last tick.
	Held, Dialled int
}

// Text returns the metrics in Prometheus' text format. The number of series is bounded by the
// outcomes, reasons and kinds of events.
func (m *WatchMetrics) Text() []byte {
	b := metricsText{name: m.Name}
	counter := func(name, help string, value int) {
		b.family(name, "counter", help)
		b.value(name, float64(value))
	}
	counter("shoal_watch_ticks_total", "Ticks of this watch.", m.Ticks)
	counter("shoal_watch_missed_ticks_total", "Ticks that were left out because the one before took too long.", m.Missed)
	b.family("shoal_watch_events_total", "counter", "What happened at hosts, by kind.")
	for _, kind := range []watch.Kind{watch.Changed, watch.Stopped, watch.Back} {
		b.value(fmt.Sprintf("shoal_watch_events_total{kind=%q}", kind), float64(m.Changes[kind]))
	}
	b.one("shoal_watch_tick_start_time_seconds", "When the last tick began.", unixSeconds(m.Begun))
	b.one("shoal_watch_tick_end_time_seconds", "When the last tick ended.", unixSeconds(m.Ended))
	b.one("shoal_watch_tick_duration_seconds", "How long the last tick took.", m.Ended.Sub(m.Begun).Seconds())
	b.one("shoal_watch_tick_lag_seconds", "How late the last tick began.", m.Late.Seconds())
	b.gauge("shoal_watch_targets", "Targets of the last tick, by outcome.")
	for o := fleet.OutcomeOK; o < fleet.NumOutcomes; o++ {
		b.value(fmt.Sprintf("shoal_watch_targets{outcome=%q}", o), float64(m.Tick.Outcomes[o]))
	}
	b.gauge("shoal_watch_reasons", "Targets of the last tick that have a reason, by reason.")
	for _, reason := range slices.Sorted(maps.Keys(m.Tick.Reasons)) {
		b.value("shoal_watch_reasons{reason="+label(string(reason))+"}", float64(m.Tick.Reasons[reason]))
	}
	b.gauge("shoal_watch_connections", "Connections of the last tick.")
	b.value(`shoal_watch_connections{state="held"}`, float64(m.Held))
	b.value(`shoal_watch_connections{state="dialled"}`, float64(m.Dialled))
	b.one("shoal_watch_answers", "Different answers of the hosts.", float64(m.State.Answers))
	b.one("shoal_watch_silent_targets", "Targets that gave no answer last.", float64(m.State.Silent))
	b.one("shoal_watch_never_answered_targets", "Targets that never gave an answer.", float64(m.State.Never))
	if !m.State.Oldest.IsZero() {
		b.one("shoal_watch_oldest_answer_time_seconds", "When the host answered last whose last answer is the oldest.", unixSeconds(m.State.Oldest))
		b.one("shoal_watch_oldest_answer_age_seconds", "How old that answer was at the end of the last tick.", max(0, m.Ended.Sub(m.State.Oldest).Seconds()))
	}
	return b.Bytes()
}
