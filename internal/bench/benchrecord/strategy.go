package benchrecord

import (
	"fmt"
	"slices"
	"strings"
)

// A Strategy is a way to go through the targets. Its text is part of the record
// format.
type Strategy string

// The strategies: those of the reference's two articles, then ours.
const (
	Serial     Strategy = "serial"     // one target after the other
	Workers    Strategy = "workers"    // a pool of fixed size: Options.Workers at once
	Concurrent Strategy = "concurrent" // all targets at once, without limits
	Auto       Strategy = "auto"       // the defaults of shoal.Options
)

// Strategies returns all strategies.
func Strategies() []Strategy { return []Strategy{Serial, Workers, Concurrent, Auto} }

// ParseStrategy returns the strategy with that text.
func ParseStrategy(text string) (Strategy, error) {
	if s := Strategy(text); slices.Contains(Strategies(), s) {
		return s, nil
	}
	var names []string
	for _, s := range Strategies() {
		names = append(names, string(s))
	}
	return "", fmt.Errorf("unknown strategy %.40q: there are %s", text, strings.Join(names, ", "))
}
