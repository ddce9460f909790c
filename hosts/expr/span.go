package expr

import (
	"strconv"
	"strings"
)

// maxDigits bounds the numbers in brackets, and those that Fold folds.
const maxDigits = 16

// A span is one item of a bracket: the numbers from first to last in steps of step, written
// with at least width digits. Width 0 means no padding.
type span struct {
	first, last, step uint64
	width             int
}

// count saturates well above MaxNames.
func (s span) count() int {
	return int(min((s.last-s.first)/s.step, 1<<40)) + 1
}

// widest returns the length of the longest number of the bracket.
func widest(spans []span) int {
	var longest int
	for _, s := range spans {
		longest = max(longest, s.width, digits(s.last))
	}
	return longest
}

// digits returns the number of decimal digits of v.
func digits(v uint64) int {
	n := 1
	for ; v >= 10; v /= 10 {
		n++
	}
	return n
}

// appendNumber writes v with at least width digits.
func appendNumber(b []byte, v uint64, width int) []byte {
	for n := digits(v); n < width; n++ {
		b = append(b, '0')
	}
	return strconv.AppendUint(b, v, 10)
}

// bracket parses the ranges of the bracket at p.pos.
func (p *parser) bracket() ([]span, *SyntaxError) {
	open := p.pos
	inside := p.expr[open+1:]
	end := strings.IndexAny(inside, "[]")
	if end < 0 {
		return nil, p.fail(open, `close it with "]"`, "bracket is not closed")
	}
	if inside[end] == '[' {
		return nil, p.fail(open+1+end, "write the ranges side by side, as in n[1-2]r[3-4]", "bracket inside a bracket")
	}
	spans := make([]span, 0, 1+strings.Count(inside[:end], ","))
	offset := open + 1
	for item := range strings.SplitSeq(inside[:end], ",") {
		s, err := p.span(item, offset)
		if err != nil {
			return nil, err
		}
		spans = append(spans, s)
		offset += len(item) + 1
	}
	p.pos = open + 1 + end + 1
	return spans, nil
}

// span parses one item of a bracket: 7, 7-9 or 1-9/2. offset is the place of the item in the
// expression.
func (p *parser) span(item string, offset int) (span, *SyntaxError) {
	const form = "a range is written as 7, 7-9 or 1-9/2"
	trimmed := strings.Trim(item, blanks)
	if trimmed == "" {
		return span{}, p.fail(offset, form, "empty range")
	}
	bounds, stepText, stepped := strings.Cut(trimmed, "/")
	firstText, lastText, ranged := strings.Cut(bounds, "-")
	if !ranged {
		lastText = firstText
	}
	s := span{step: 1}
	numbers := []struct {
		text string
		to   *uint64
	}{{firstText, &s.first}, {lastText, &s.last}, {stepText, &s.step}}
	if !stepped {
		numbers = numbers[:2]
	}
	for _, n := range numbers {
		var err *SyntaxError
		if *n.to, err = p.number(n.text, offset, form); err != nil {
			return span{}, err
		}
	}
	return s.check(p, offset, strings.Trim(firstText, blanks), strings.Trim(lastText, blanks), stepped && !ranged)
}

func (p *parser) number(text string, offset int, form string) (uint64, *SyntaxError) {
	text = strings.Trim(text, blanks)
	if text == "" {
		return 0, p.fail(offset, form, "number missing in a range")
	}
	if len(text) > maxDigits {
		return 0, p.fail(offset, "numbers have at most 16 digits", "%.20q is too long for a number", text)
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, p.fail(offset, form, "%q is not a number", text)
		}
	}
	value, _ := strconv.ParseUint(text, 10, 64) // at most 16 digits: cannot fail
	return value, nil
}

// check refuses invalid ranges. ClusterShell's rule for padding applies: if one end is padded,
// both have the same width.
func (s span) check(p *parser, offset int, first, last string, stepAlone bool) (span, *SyntaxError) {
	switch {
	case stepAlone:
		return s, p.fail(offset, "a step goes with two ends, as in 1-9/2", "step without a range")
	case s.step == 0:
		return s, p.fail(offset, "the smallest step is 1", "step of 0")
	case s.first > s.last:
		return s, p.fail(offset, "write "+last+"-"+first, "range starts at %s, after its end %s", first, last)
	}
	padded := func(text string) bool { return len(text) > 1 && text[0] == '0' }
	if padded(first) || padded(last) {
		if len(first) != len(last) {
			return s, p.fail(offset, "with zero padding both ends have the same width, as in 001-100",
				"padding of %s and %s differs", first, last)
		}
		s.width = len(first)
	}
	return s, nil
}
