package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// readTime reads a time; "none" sets nothing, so that a later line may.
func readTime(l *line) error { return l.readTimeFor(l.op) }

func (l *line) readTimeFor(o op) error {
	arg, err := l.need()
	if err != nil {
		return err
	}
	if arg == "none" {
		return nil
	}
	secs, err := parseTime(arg)
	if err != nil {
		return err
	}
	l.set(o, strconv.FormatInt(secs, 10)).num = secs
	return nil
}

// parseTime parses a time, a sequence of numbers with units, and returns seconds
// (sshd_config(5), TIME FORMATS; misc.c, convtime).
func parseTime(s string) (int64, error) {
	bad := fmt.Errorf("bad time %.80q", s)
	if s == "" {
		return 0, bad
	}
	var total int64
	for s != "" {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		n, err := strconv.ParseInt(s[:digits], 10, 32)
		if err != nil {
			return 0, bad
		}
		s = s[digits:]
		unit := int64(1)
		if s != "" {
			var ok bool
			if unit, ok = timeUnits[s[0]|0x20]; !ok {
				return 0, bad
			}
			s = s[1:]
		}
		if total += n * unit; total > math.MaxInt32 {
			return 0, bad
		}
	}
	return total, nil
}

var timeUnits = map[byte]int64{'s': 1, 'm': 60, 'h': 60 * 60, 'd': 24 * 60 * 60, 'w': 7 * 24 * 60 * 60}

// readRekeyLimit reads a size and an optional time: two values, for each of which the first one
// wins.
func readRekeyLimit(l *line) error {
	arg, err := l.need()
	if err != nil {
		return err
	}
	var size int64
	if arg != "default" {
		if size, err = parseSize(arg); err != nil {
			return err
		}
		if size != 0 && size < 16 {
			return fmt.Errorf("%.80q is too small", arg)
		}
	}
	l.set(opRekeyLimit, strconv.FormatInt(size, 10)).num = size
	if len(l.args) > 0 {
		return l.readTimeFor(opRekeyInterval)
	}
	return nil
}

// parseSize parses a number of bytes with an optional unit (scan_scaled of OpenBSD's libutil).
func parseSize(s string) (int64, error) {
	bad := fmt.Errorf("bad size %.80q", s)
	number, scale := s, 1.0
	if s == "" {
		return 0, bad
	}
	if i := strings.IndexByte("bkmgtpe", s[len(s)-1]|0x20); i >= 0 {
		number, scale = s[:len(s)-1], math.Pow(1024, float64(i))
	}
	if strings.Trim(number, "0123456789.") != "" {
		return 0, bad
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n > math.MaxInt64/int64(scale) {
			return 0, bad
		}
		return n * int64(scale), nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f*scale >= math.MaxInt64 {
		return 0, bad
	}
	return int64(f * scale), nil
}
