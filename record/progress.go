package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"shoal/fleet"
)

// A Progress is the state of a run at one moment, as --progress json writes it every second
// and once at the end: one JSON object in a line, with the "type" progress. It is no part of a
// result stream; the rules for bytes, versions and whole lines are the same.
type Progress struct {
	Time    time.Time     // "time"
	Elapsed time.Duration // "elapsed_ns": since the beginning
	Targets int           // "targets"; omitted if unknown
	Done    int           // "done": targets with a result
	// Outcomes are the numbers of results by outcome: "outcomes", without those that are 0.
	Outcomes [fleet.NumOutcomes]int
	// Active are the numbers of attempts under way by what they do: resolving, connecting,
	// ready (held at a barrier), running, draining, storing. "active" and "waiting" (for an
	// attempt) are omitted if attempts are not tracked.
	Active  map[string]int
	Waiting int
	Rate    float64        // "rate": results per second since the beginning
	Left    *time.Duration // "left_ns": until the end; omitted while it cannot be known
	// Stopping means that nothing more is started: "stopping", omitted if false.
	Stopping bool
	Stage    *Stage // "stage" of a rollout; omitted without one
	// Median is that of the times of the commands that have ended, right to 5 %:
	// "median_ns", omitted if they are too few. Slow is the number of attempts under way that
	// have taken much longer: "slow", omitted if 0.
	Median time.Duration
	Slow   int
	Oldest []InFlight // "oldest": the ten oldest attempts under way; omitted if none is
	Final  bool       // "final": the last line of the run; omitted if false
}

// A Stage is a stage of a rollout. Numbers that are not known are omitted.
type Stage struct {
	Number  int           // "number", from 1
	Stages  int           // "stages"
	Targets int           // "targets" of this stage
	Next    time.Duration // "next_ns": until the next stage; omitted while this one goes on
}

// An InFlight is an attempt under way.
type InFlight struct {
	Index   int           // "index" of the target
	Host    string        // "host", as in a result
	Attempt int           // "attempt", from 1
	Phase   fleet.Phase   // "phase"
	Age     time.Duration // "age_ns": of the attempt
	// Quiet is the time since the last output: "quiet_ns"; nil and omitted if there was none.
	Quiet *time.Duration
}

// AppendProgress appends p as a line. A rate that is not a number is an error.
func AppendProgress(dst []byte, p Progress) ([]byte, error) {
	if math.IsNaN(p.Rate) || math.IsInf(p.Rate, 0) {
		return nil, errors.New("writing progress: the rate is not a number")
	}
	dst = append(dst, `{"type":"progress"`...)
	dst = append(appendKey(dst, "time"), '"')
	dst = append(p.Time.UTC().AppendFormat(dst, time.RFC3339Nano), '"')
	dst = appendInt(dst, "elapsed_ns", p.Elapsed.Nanoseconds())
	if p.Targets > 0 {
		dst = appendInt(dst, "targets", int64(p.Targets))
	}
	dst = appendInt(dst, "done", int64(p.Done))
	outcomes := make(map[string]int)
	for o, n := range p.Outcomes {
		if n != 0 {
			outcomes[fleet.Outcome(o).String()] = n
		}
	}
	dst = appendCounts(dst, "outcomes", outcomes)
	if p.Active != nil {
		dst = appendCounts(dst, "active", p.Active)
		dst = appendInt(dst, "waiting", int64(p.Waiting))
	}
	dst = strconv.AppendFloat(appendKey(dst, "rate"), p.Rate, 'f', 3, 64)
	if p.Left != nil {
		dst = appendInt(dst, "left_ns", p.Left.Nanoseconds())
	}
	if p.Stopping {
		dst = append(dst, `,"stopping":true`...)
	}
	if p.Stage != nil {
		dst = appendStage(dst, p.Stage)
	}
	if p.Median > 0 {
		dst = appendInt(dst, "median_ns", p.Median.Nanoseconds())
	}
	if p.Slow > 0 {
		dst = appendInt(dst, "slow", int64(p.Slow))
	}
	if len(p.Oldest) > 0 {
		dst = append(appendKey(dst, "oldest"), '[')
		for i := range p.Oldest {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendInFlight(dst, &p.Oldest[i])
		}
		dst = append(dst, ']')
	}
	if p.Final {
		dst = append(dst, `,"final":true`...)
	}
	return append(dst, "}\n"...), nil
}

// appendCounts appends an object of numbers, sorted by their names.
func appendCounts[K ~string](dst []byte, key string, counts map[K]int) []byte {
	dst = append(appendKey(dst, key), '{')
	for i, name := range slices.Sorted(maps.Keys(counts)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = fmt.Appendf(appendQuoted(dst, string(name)), ":%d", counts[name])
	}
	return append(dst, '}')
}

func appendStage(dst []byte, s *Stage) []byte {
	dst = fmt.Appendf(appendKey(dst, "stage"), `{"number":%d`, s.Number)
	if s.Stages > 0 {
		dst = appendInt(dst, "stages", int64(s.Stages))
	}
	if s.Targets > 0 {
		dst = appendInt(dst, "targets", int64(s.Targets))
	}
	if s.Next > 0 {
		dst = appendInt(dst, "next_ns", s.Next.Nanoseconds())
	}
	return append(dst, '}')
}

func appendInFlight(dst []byte, f *InFlight) []byte {
	dst = fmt.Appendf(dst, `{"index":%d`, f.Index)
	dst = appendText(dst, "host", f.Host)
	dst = appendInt(dst, "attempt", int64(f.Attempt))
	dst = append(appendKey(dst, "phase"), `"`+f.Phase.String()+`"`...)
	dst = appendInt(dst, "age_ns", f.Age.Nanoseconds())
	if f.Quiet != nil {
		dst = appendInt(dst, "quiet_ns", f.Quiet.Nanoseconds())
	}
	return append(dst, '}')
}

// progressLine is a line with its fields' names.
type progressLine struct {
	Type      string         `json:"type"`
	Time      time.Time      `json:"time" schema:"always"`
	ElapsedNS int64          `json:"elapsed_ns" schema:"always"`
	Targets   int            `json:"targets"`
	Done      int            `json:"done" schema:"always"`
	Outcomes  map[string]int `json:"outcomes" schema:"always,outcome"`
	Active    map[string]int `json:"active"`
	Waiting   int            `json:"waiting"`
	Rate      float64        `json:"rate" schema:"always"`
	LeftNS    *time.Duration `json:"left_ns"`
	Stopping  bool           `json:"stopping"`
	Stage     *struct {
		Number  int           `json:"number" schema:"always"`
		Stages  int           `json:"stages"`
		Targets int           `json:"targets"`
		NextNS  time.Duration `json:"next_ns"`
	} `json:"stage"`
	MedianNS time.Duration `json:"median_ns"`
	Slow     int           `json:"slow"`
	Oldest   []struct {
		Index        int            `json:"index" schema:"always"`
		Host         string         `json:"host" schema:"always"`
		HostEncoding string         `json:"host_encoding"`
		Attempt      int            `json:"attempt" schema:"always"`
		Phase        string         `json:"phase" schema:"always,phase"`
		AgeNS        time.Duration  `json:"age_ns" schema:"always"`
		QuietNS      *time.Duration `json:"quiet_ns"`
	} `json:"oldest"`
	Final bool `json:"final"`
}

// DecodeProgress is the inverse of AppendProgress, for a line with or without its newline.
func DecodeProgress(line []byte) (p Progress, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("decoding progress: %w", err)
		}
	}()
	var l progressLine
	if err := json.Unmarshal(line, &l); err != nil {
		return p, err //nolint:wrapcheck // the deferred function does
	}
	if l.Type != "progress" {
		return p, fmt.Errorf("the line has the type %q", l.Type)
	}
	p = Progress{
		Time: l.Time, Elapsed: time.Duration(l.ElapsedNS), Targets: l.Targets, Done: l.Done, Active: l.Active, Waiting: l.Waiting,
		Rate: l.Rate, Left: l.LeftNS, Stopping: l.Stopping, Median: l.MedianNS, Slow: l.Slow, Final: l.Final,
	}
	for name, n := range l.Outcomes {
		o, err := fleet.ParseOutcome(name)
		if err != nil {
			return p, err //nolint:wrapcheck // the deferred function does
		}
		p.Outcomes[o] = n
	}
	if s := l.Stage; s != nil {
		p.Stage = &Stage{Number: s.Number, Stages: s.Stages, Targets: s.Targets, Next: s.NextNS}
	}
	for _, f := range l.Oldest {
		phase, err := fleet.ParsePhase(f.Phase)
		if err != nil {
			return p, err //nolint:wrapcheck // the deferred function does
		}
		host, err := decodeText("host", f.Host, f.HostEncoding)
		if err != nil {
			return p, err
		}
		p.Oldest = append(p.Oldest, InFlight{Index: f.Index, Host: host, Attempt: f.Attempt, Phase: phase, Age: f.AgeNS, Quiet: f.QuietNS})
	}
	return p, nil
}
