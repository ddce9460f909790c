package ansible

import (
	"strconv"
	"strings"

	"shoal/hosts/internal/problem"
	hostpattern "shoal/hosts/limit"
)

// maxRange bounds what one host pattern stands for.
const maxRange = MaxHosts

// expandHosts returns the names that a host pattern stands for, and its port.
func expandHosts(pattern string) (names []string, port string, err error) {
	host, port := hostpattern.SplitPort(pattern)
	if port == "" && strings.HasSuffix(strings.TrimSpace(pattern), ":") {
		return nil, "", problem.Faultf("write host:port, or no colon", "a colon without a port")
	}
	if host == "" {
		return nil, "", problem.Faultf("write a host name", "no host name")
	}
	left := maxRange
	names, err = expand(nil, host, &left)
	return names, port, err
}

const rangeHint = "write [1:9], [01:10:2] or [a:f]"

// expand replaces the first range in text by all that it stands for, and goes on
// with the next (plugins/inventory, expand_hostname_range).
func expand(names []string, text string, left *int) ([]string, error) {
	open := strings.IndexByte(text, '[')
	if open < 0 {
		if *left--; *left < 0 {
			return nil, problem.Faultf("split it", "a range of more than %d hosts", maxRange)
		}
		return append(names, text), nil
	}
	size := strings.IndexByte(text[open:], ']')
	if size < 0 {
		return nil, problem.Faultf(rangeHint, "bracket is not closed")
	}
	r, err := parseRange(text[open+1 : open+size])
	if err != nil {
		return nil, err
	}
	head, tail := text[:open], text[open+size+1:]
	for v := r.first; v <= r.last; v += r.step {
		if names, err = expand(names, head+r.text(v)+tail, left); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// A span is the values of one range.
type span struct {
	first, last, step int
	width             int  // of padded numbers
	letters           bool // values are places in letters
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func (s span) text(v int) string {
	if s.letters {
		return letters[v : v+1]
	}
	digits := strconv.Itoa(v)
	if pad := s.width - len(digits); pad > 0 {
		return strings.Repeat("0", pad) + digits
	}
	return digits
}

// maxDigits keeps numbers and the padding of a range small.
const maxDigits = 15

func parseRange(text string) (span, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 2 && len(parts) != 3 {
		return span{}, problem.Faultf(rangeHint, "range [%.40s]", text)
	}
	s := span{step: 1}
	var err error
	if len(parts) == 3 {
		if s.step, err = decimal(parts[2]); err != nil || s.step == 0 {
			return span{}, problem.Faultf(rangeHint, "step %.40q of a range", parts[2])
		}
	}
	begin, end := parts[0], parts[1]
	if begin == "" {
		begin = "0"
	}
	if len(begin) == 1 && len(end) == 1 && strings.Contains(letters, begin) && strings.Contains(letters, end) {
		s.letters = true
		s.first, s.last = strings.Index(letters, begin), strings.Index(letters, end)
		if s.first > s.last {
			return span{}, problem.Faultf(rangeHint, "range [%.40s] ends before it begins", text)
		}
		return s, nil
	}
	if begin[0] == '0' && len(begin) > 1 {
		if s.width = len(begin); s.width != len(end) {
			return span{}, problem.Faultf("write both ends with the same width, as in [01:10]", "range [%.40s]", text)
		}
	}
	if s.first, err = decimal(begin); err == nil {
		s.last, err = decimal(end)
	}
	if err != nil {
		return span{}, problem.Faultf(rangeHint, "range [%.40s]", text)
	}
	if s.first > s.last {
		return span{}, problem.Faultf(rangeHint, "range [%.40s] ends before it begins", text)
	}
	return s, nil
}

func decimal(text string) (int, error) {
	if len(text) > maxDigits || strings.Trim(text, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.Atoi(text)
}
