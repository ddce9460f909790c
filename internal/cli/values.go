package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A seconds is a flag that takes a duration ("90s", "2m") or a bare number of
// seconds, as pdsh and ssh do.
type seconds time.Duration

func (s *seconds) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

func (s *seconds) duration() time.Duration { return time.Duration(*s) }

func (s *seconds) Type() string { return "duration" }

func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if n, atoi := strconv.ParseFloat(text, 64); atoi == nil {
		d, err = time.Duration(n*float64(time.Second)), nil
		if math.IsNaN(n) || math.Abs(n) > 1e9 {
			err = strconv.ErrRange
		}
	}
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a time: write seconds (10) or a duration (500ms, 2m)", text)
	}
	*s = seconds(d)
	return nil
}

// A size is a flag that takes bytes with an optional K, M or G (powers of
// 1024).
type size int64

func (s *size) String() string {
	for _, unit := range []struct {
		shift uint
		name  string
	}{{30, "G"}, {20, "M"}, {10, "K"}} {
		if n := int64(*s) >> unit.shift; n > 0 && n<<unit.shift == int64(*s) {
			return strconv.FormatInt(n, 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

func (s *size) Type() string { return "size" }

func (s *size) Set(text string) error {
	digits := strings.TrimSuffix(strings.ToUpper(text), "B")
	shift := uint(0)
	for i, suffix := range []string{"K", "M", "G"} {
		if rest, ok := strings.CutSuffix(digits, suffix); ok {
			digits, shift = rest, uint(10*(i+1))
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return fmt.Errorf("%q is not a size: write bytes (65536) or K, M, G (64K)", text)
	}
	*s = size(n << shift)
	return nil
}

// A choice is a flag that takes one of a few words.
type choice struct {
	value string
	words []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.words, "|") }

func (c *choice) Set(text string) error {
	for _, w := range c.words {
		if w == text {
			c.value = text
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", text, strings.Join(c.words, ", "))
}
