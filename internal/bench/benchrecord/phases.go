package benchrecord

import (
	"encoding/json"
	"strconv"
	"time"

	"shoal/fleet"
)

// MarshalJSON writes {"dial":1200000,…} in the order of the phases.
func (p Phases) MarshalJSON() ([]byte, error) {
	text := append(make([]byte, 0, 160), '{')
	for phase, took := range p {
		if took == 0 {
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(text, '"')
		text = append(text, fleet.Phase(phase).String()...) // phase < NumPhases
		text = append(text, `":`...)
		text = strconv.AppendInt(text, took.Nanoseconds(), 10)
	}
	return append(text, '}'), nil
}

// UnmarshalJSON returns an error for phases that this version does not know.
func (p *Phases) UnmarshalJSON(text []byte) error {
	var named map[string]time.Duration
	if err := json.Unmarshal(text, &named); err != nil {
		return err
	}
	*p = Phases{}
	for name, took := range named {
		phase, err := fleet.ParsePhase(name)
		if err != nil {
			return err
		}
		p[phase] = took
	}
	return nil
}
