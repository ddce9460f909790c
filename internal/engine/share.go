package engine

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Amount is a number of targets or a part of all of them. The zero value is
// none of them.
type Amount struct {
	Count   int
	Percent float64 // where it is more than 0, Count counts for nothing
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

// Validate refuses what is negative or more than all.
func (s Amount) Validate() error {
	if s.Count < 0 || !(s.Percent >= 0 && s.Percent <= 100) {
		return fmt.Errorf("%v is not a share of targets: it is negative or more than all", s)
	}
	return nil
}

// Of gives the number that s is of so many targets: at least 1 of a percentage
// that is not 0.
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
