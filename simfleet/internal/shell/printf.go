package shell

import (
	"strconv"
	"strings"
)

func printf(c call) (uint32, error) {
	if len(c.args) == 0 {
		return statusSyntax, complain(c.Stderr, "printf: usage: printf FORMAT [WORD...]\n")
	}
	out, problem := Printf(c.args[0], c.args[1:])
	if err := write(c.Stdout, out); err != nil {
		return 0, err
	}
	if problem != "" {
		return statusFailure, complain(c.Stderr, "printf: %s\n", problem)
	}
	return 0, nil
}

// Printf follows POSIX XCU printf without flags, widths and precisions: the
// format is used again while words are left, and a missing word is "" or 0.
// problem is "" if all is well.
func Printf(format string, words []string) (out []byte, problem string) {
	f := formatter{words: words}
	for {
		before := len(f.words)
		f.pass(format)
		if f.problem != "" || len(f.words) == 0 || len(f.words) == before {
			return f.out, f.problem
		}
	}
}

type formatter struct {
	out     []byte
	words   []string
	problem string // "" while all is well
}

// pass goes through the format once.
func (f *formatter) pass(format string) {
	for i := 0; i < len(format) && f.problem == ""; {
		switch {
		case format[i] == '\\':
			i += f.escape(format[i:], 3)
		case format[i] == '%' && i+1 < len(format):
			f.verb(format[i+1])
			i += 2
		case format[i] == '%':
			f.problem = "%: missing format character"
		default:
			f.out = append(f.out, format[i])
			i++
		}
	}
}

func (f *formatter) next() string {
	if len(f.words) == 0 {
		return ""
	}
	word := f.words[0]
	f.words = f.words[1:]
	return word
}

func (f *formatter) verb(verb byte) {
	switch verb {
	case '%':
		f.out = append(f.out, '%')
	case 's':
		f.out = append(f.out, f.next()...)
	case 'c':
		if word := f.next(); word != "" {
			f.out = append(f.out, word[0])
		}
	case 'b':
		for word := f.next(); word != ""; {
			if word[0] != '\\' {
				f.out = append(f.out, word[0])
				word = word[1:]
				continue
			}
			most := 3
			if strings.HasPrefix(word, `\0`) {
				most = 4
			}
			word = word[f.escape(word, most):]
		}
	case 'd', 'u', 'x':
		f.number(verb)
	default:
		f.problem = "%" + string(rune(verb)) + ": invalid format character"
	}
}

func (f *formatter) number(verb byte) {
	word := f.next()
	if word == "" {
		word = "0"
	}
	n, err := strconv.ParseInt(word, 0, 64)
	switch {
	case err != nil:
		f.problem = "'" + word + "': expected a numeric value"
	case verb == 'd':
		f.out = strconv.AppendInt(f.out, n, 10)
	case verb == 'u':
		f.out = strconv.AppendUint(f.out, uint64(n), 10) // %u of a negative number wraps in C too
	default:
		f.out = strconv.AppendUint(f.out, uint64(n), 16) // as above
	}
}

const simpleEscapes = "a\ab\be\x1bf\fn\nr\rt\tv\v\\\\\"\"''"

// escape writes what the escape at the start of s means and gives its length. A
// backslash before anything else stands for itself. octal is how many octal
// digits there may be: 3 in a format, and 4 after the \0 of %b.
func (f *formatter) escape(s string, octal int) int {
	if len(s) < 2 {
		f.out = append(f.out, s...)
		return len(s)
	}
	for i := 0; i < len(simpleEscapes); i += 2 {
		if simpleEscapes[i] == s[1] {
			f.out = append(f.out, simpleEscapes[i+1])
			return 2
		}
	}
	switch {
	case s[1] == 'x':
		if n := digits(s[2:], 2, "0123456789abcdefABCDEF"); n > 0 {
			return 2 + f.code(s[2:2+n], 16)
		}
	case s[1] >= '0' && s[1] <= '7':
		return 1 + f.code(s[1:1+digits(s[1:], octal, "01234567")], 8)
	}
	f.out = append(f.out, s[0], s[1])
	return 2
}

// code writes the byte with this number and gives the number of its digits.
func (f *formatter) code(number string, base int) int {
	n, err := strconv.ParseUint(number, base, 16)
	if err != nil {
		f.problem = "'" + number + "': not a character code"
	}
	f.out = append(f.out, byte(n)) // \777 wraps, as in C
	return len(number)
}

func digits(s string, most int, set string) int {
	n := 0
	for n < min(most, len(s)) && strings.IndexByte(set, s[n]) >= 0 {
		n++
	}
	return n
}
