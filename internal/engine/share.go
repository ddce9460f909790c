package engine

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// An Amount is a number or a percentage of targets. The zero value is no targets.
type Amount struct {
	Count   int
	Percent float64 // if more than 0, Count is ignored
}

// ParseAmount reads "20" or "2.5%".
func ParseAmount(text string) (Amount, error) {
	var s Amount
	var err error
	if number, ok := strings.CutSuffix(text, "%"); ok {
		s.Percent, err = strconv.ParseFloat(number, 64)
	} else {
		s.Count, err = strconv.Atoi(text)
	}
	if err == nil {
		err = s.Validate()
	}
	if err != nil {
		return Amount{}, fmt.Errorf("%.40q is neither a number of targets nor a percentage", text)
	}
	return s, nil
}

// Validate returns an error if s is negative or more than all targets.
func (s Amount) Validate() error {
	if s.Count < 0 || !(s.Percent >= 0 && s.Percent <= 100) {
		return fmt.Errorf("%v is not a share of targets: it is negative or more than all", s)
	}
	return nil
}

// Of returns s as a number of targets. A percentage that is not 0 is at least 1
// target.
func (s Amount) Of(targets int) int {
	if s.Percent > 0 {
		return max(1, int(math.Floor(s.Percent*float64(targets)/100)))
	}
	return s.Count
}

func (s Amount) String() string {
	if s.Percent > 0 {
		return strconv.FormatFloat(s.Percent, 'f', -1, 64) + "%"
	}
	return strconv.Itoa(s.Count)
}
