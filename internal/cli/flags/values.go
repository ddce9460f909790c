package flags

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Seconds is a flag value: a duration ("90s", "2m") or a bare number of
// seconds, as in pdsh and ssh.
type Seconds time.Duration

// String implements pflag.Value.
func (s *Seconds) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

// Duration returns the value as a time.Duration.
func (s *Seconds) Duration() time.Duration { return time.Duration(*s) }

// Type implements pflag.Value.
func (s *Seconds) Type() string { return "duration" }

// Set implements pflag.Value.
func (s *Seconds) Set(text string) error {
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
	if d == 0 && strings.ContainsAny(text, "123456789") {
		return fmt.Errorf("%q rounds to 0, which has another meaning: 1ns is the shortest time", text)
	}
	*s = Seconds(d)
	return nil
}

// maxAge is a flag value of which 0 is not the absence.
type maxAge struct {
	Seconds
	given bool
}

// Set implements pflag.Value.
func (m *maxAge) Set(text string) error {
	m.given = true
	return m.Seconds.Set(text)
}

// Count is a flag value: a whole number of at least 1. 0 is a default that
// nobody gives.
type Count int

// String implements pflag.Value.
func (c *Count) String() string { return strconv.Itoa(int(*c)) }

// Type implements pflag.Value.
func (c *Count) Type() string { return "number" }

// Set implements pflag.Value.
func (c *Count) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return fmt.Errorf("%.100q is not a whole number of at least 1", text)
	}
	*c = Count(n)
	return nil
}

// Size is a flag value: a number of bytes with an optional K, M or G (powers of
// 1024).
type Size int64

// String implements pflag.Value.
func (s *Size) String() string {
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

// Type implements pflag.Value.
func (s *Size) Type() string { return "size" }

// Set implements pflag.Value.
func (s *Size) Set(text string) error {
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
	*s = Size(n << shift)
	return nil
}

// A Choice is a flag value: one of Words.
type Choice struct {
	Value string
	Words []string
}

// String and Type implement pflag.Value.
func (c *Choice) String() string { return c.Value }
func (c *Choice) Type() string   { return strings.Join(c.Words, "|") }

// Set implements pflag.Value.
func (c *Choice) Set(text string) error {
	for _, w := range c.Words {
		if w == text {
			c.Value = text
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", text, strings.Join(c.Words, ", "))
}
