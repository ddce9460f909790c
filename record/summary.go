package record

import (
	"encoding/json"
	"fmt"
	"time"

	"shoal/fleet"
)

// A Summary counts the results of a run. The zero value is ready to use. It is not safe
// for concurrent use.
type Summary struct {
	// Outcomes are the numbers of results by outcome.
	Outcomes [fleet.NumOutcomes]int
	// Reasons are the numbers of results that have a reason, by reason.
	Reasons map[fleet.Reason]int
	// Truncated and Incomplete are the numbers of results with these output flags.
	Truncated, Incomplete int
	// AgentSignatures is how many signatures a forwarded agent has made, and AgentHosts for how
	// many results.
	AgentSignatures, AgentHosts int
	// NoAgent is the number of results with fleet.FlagNoAgent.
	NoAgent int
	// EnvRefused is the number of results with fleet.FlagEnvRefused.
	EnvRefused int
	// Held is the number of results that ran on a connection from an earlier command, and Dialled
	// those of others by the reason why not; both are 0 where none are held.
	Held    int
	Dialled map[fleet.DialReason]int
	// LetGo are the numbers of results by outcome that ended because a person had seen
	// enough (fleet.ReasonLetGo). They are no failures. Read does not fill it in.
	LetGo [fleet.NumOutcomes]int
	// Elapsed is the duration of the whole run; the caller sets it.
	Elapsed time.Duration
	// Interrupted is set by the caller if the run was stopped before its end.
	Interrupted bool

	causes causes
}

// Add counts one result.
func (s *Summary) Add(r fleet.Result) {
	if r.Outcome < fleet.NumOutcomes {
		s.Outcomes[r.Outcome]++
	}
	if r.Reason != fleet.ReasonNone {
		if s.Reasons == nil {
			s.Reasons = make(map[fleet.Reason]int)
		}
		s.Reasons[r.Reason]++
	}
	if r.Reason == fleet.ReasonLetGo && r.Outcome < fleet.NumOutcomes {
		s.LetGo[r.Outcome]++
	}
	if r.Flags.Has(fleet.FlagOutputTruncated) {
		s.Truncated++
	}
	if r.Flags.Has(fleet.FlagOutputIncomplete) {
		s.Incomplete++
	}
	if r.Flags.Has(fleet.FlagNoAgent) {
		s.NoAgent++
	}
	if r.Flags.Has(fleet.FlagEnvRefused) {
		s.EnvRefused++
	}
	if r.AgentSignatures > 0 {
		s.AgentSignatures += r.AgentSignatures
		s.AgentHosts++
	}
	switch c := r.Connection; {
	case c == nil:
	case c.Held:
		s.Held++
	default:
		if s.Dialled == nil {
			s.Dialled = make(map[fleet.DialReason]int)
		}
		s.Dialled[c.Why]++
	}
	s.causes.add(&r)
}

// Targets returns the number of results counted.
func (s *Summary) Targets() int {
	sum := 0
	for _, n := range s.Outcomes {
		sum += n
	}
	return sum
}

func appendSummary(dst []byte, s *Summary) []byte {
	dst = append(dst, `{"type":"summary"`...)
	dst = appendInt(dst, "targets", int64(s.Targets()))
	dst = append(appendKey(dst, "outcomes"), '{')
	// Always write ok, even if it is 0: its absence would not mean that there was none.
	dst = append(dst, `"ok":`...)
	dst = fmt.Appendf(dst, "%d", s.Outcomes[fleet.OutcomeOK])
	for o, n := range s.Outcomes {
		if n != 0 && fleet.Outcome(o) != fleet.OutcomeOK {
			dst = appendInt(dst, fleet.Outcome(o).String(), int64(n))
		}
	}
	dst = append(dst, '}')
	if len(s.Reasons) > 0 {
		dst = appendCounts(dst, "reasons", s.Reasons)
	}
	if s.Truncated != 0 {
		dst = appendInt(dst, "output_truncated", int64(s.Truncated))
	}
	if s.Incomplete != 0 {
		dst = appendInt(dst, "output_incomplete", int64(s.Incomplete))
	}
	for _, n := range []struct {
		key string
		n   int
	}{{"agent_signatures", s.AgentSignatures}, {"agent_hosts", s.AgentHosts}, {"no_agent", s.NoAgent}, {"env_refused", s.EnvRefused}} {
		if n.n != 0 {
			dst = appendInt(dst, n.key, int64(n.n))
		}
	}
	if s.Held != 0 {
		dst = appendInt(dst, "held", int64(s.Held))
	}
	if len(s.Dialled) > 0 {
		dst = appendCounts(dst, "dialled", s.Dialled)
	}
	dst = appendInt(dst, "elapsed_ns", s.Elapsed.Nanoseconds())
	dst = appendKey(dst, "interrupted")
	dst = fmt.Appendf(dst, "%t", s.Interrupted)
	return append(dst, "}\n"...)
}

type summaryLine struct {
	Targets     int                      `json:"targets" schema:"always"` // the sum of Outcomes
	Outcomes    map[string]int           `json:"outcomes" schema:"always,outcome"`
	Reasons     map[fleet.Reason]int     `json:"reasons"`
	Truncated   int                      `json:"output_truncated"`
	Incomplete  int                      `json:"output_incomplete"`
	Signatures  int                      `json:"agent_signatures"`
	AgentHosts  int                      `json:"agent_hosts"`
	NoAgent     int                      `json:"no_agent"`
	EnvRefused  int                      `json:"env_refused"`
	Held        int                      `json:"held"`
	Dialled     map[fleet.DialReason]int `json:"dialled"`
	ElapsedNS   int64                    `json:"elapsed_ns" schema:"always"`
	Interrupted bool                     `json:"interrupted" schema:"always"`
}

func decodeSummary(line []byte) (*Summary, error) {
	var l summaryLine
	if err := json.Unmarshal(line, &l); err != nil {
		return nil, fmt.Errorf("decoding the summary: %w", err)
	}
	s := &Summary{
		Reasons:     l.Reasons,
		Truncated:   l.Truncated,
		Incomplete:  l.Incomplete,
		NoAgent:     l.NoAgent,
		EnvRefused:  l.EnvRefused,
		Held:        l.Held,
		Dialled:     l.Dialled,
		Elapsed:     time.Duration(l.ElapsedNS),
		Interrupted: l.Interrupted,
	}
	s.AgentSignatures, s.AgentHosts = l.Signatures, l.AgentHosts
	for name, n := range l.Outcomes {
		o, err := fleet.ParseOutcome(name)
		if err != nil {
			return nil, fmt.Errorf("decoding the summary: %w", err)
		}
		s.Outcomes[o] = n
	}
	return s, nil
}
