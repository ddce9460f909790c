package simfleet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/simfleet/internal/shell"
)

// An Answer is what a host answers to every command, instead of running it. Make it with
// ParseAnswer.
type Answer struct {
	pieces []piece
	status uint32
	times  int     // after which next is the answer; 0: for ever
	next   *Answer // nil: none
}

// A piece is a part of an answer.
type piece struct {
	text   string
	value  func(*answering) string // instead of text, if not nil
	stream fleet.Stream
}

// answering is the command that is answered.
type answering struct {
	session *session
	at      time.Time
	random  io.Reader // the same bytes for one host each time
}

// answerValues are the placeholders of answers.
var answerValues = map[string]func(*answering) string{
	"host":    func(a *answering) string { return a.session.entry.Host },
	"address": func(a *answering) string { return a.session.entry.Host },
	"index":   func(a *answering) string { return strconv.Itoa(a.session.entry.Index) },
	"pid":     func(a *answering) string { return strconv.Itoa(pid(a.session.entry.ID)) },
	"time":    func(a *answering) string { return a.at.Format("15:04:05.000") },
	"date":    func(a *answering) string { return a.at.Format("2006-01-02") },
	"uptime":  func(a *answering) string { return strconv.Itoa(1+int(a.bytes(1)[0])) + " days" },
	"port":    func(a *answering) string { b := a.bytes(2); return strconv.Itoa(32768 + int(b[0])<<7 | int(b[1])>>1) },
	"size":    func(a *answering) string { b := a.bytes(2); return strconv.Itoa(1+int(b[0])<<8|int(b[1])) + " KiB" },
	"hash":    func(a *answering) string { return hex.EncodeToString(a.bytes(20)) },
	"uuid": func(a *answering) string {
		b := a.bytes(16)
		b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // RFC 9562 §5.4
		return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	},
}

func (a *answering) bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = io.ReadFull(a.random, b) // it has no end
	return b
}

// ParseAnswer reads a text with placeholders:
//
//	{host} {address} {index}         the host's address, twice, and its number
//	{time} {date} {pid}              of the command, in UTC
//	{uptime} {port} {size}           some value that each host has of its own
//	{hash} {uuid}                    the same, different for every host
//	{exit N}                         nothing; the exit status is N
//	{stderr} {stdout}                nothing; what follows is written there
//	{then N}                         nothing; what follows is another answer, after N of this one
//	\n \t \\                         a newline, a tab, a backslash
//
// A newline is added to the end of what is written to standard output and standard error,
// if it has none.
func ParseAnswer(text string) (*Answer, error) {
	a := new(Answer)
	stream := fleet.Stdout
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			a.pieces = append(a.pieces, piece{text: plain.String(), stream: stream})
			plain.Reset()
		}
	}
	for text != "" {
		i := strings.IndexAny(text, `{\`)
		if i < 0 {
			plain.WriteString(text)
			break
		}
		plain.WriteString(text[:i])
		text = text[i:]
		if text[0] == '\\' {
			r := strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\\`, `\`)
			pair := text[:min(2, len(text))]
			if r.Replace(pair) == pair {
				return nil, fmt.Errorf("answer: %q is none of \\n, \\t and \\\\", pair)
			}
			plain.WriteString(r.Replace(pair))
			text = text[2:]
			continue
		}
		name, rest, ok := strings.Cut(text[1:], "}")
		if !ok {
			return nil, errors.New("answer: a { without its }")
		}
		text = rest
		flush()
		status, isExit := strings.CutPrefix(name, "exit ")
		times, isThen := strings.CutPrefix(name, "then ")
		switch {
		case isThen:
			n, err := strconv.ParseUint(times, 10, 31)
			if err != nil || n == 0 {
				return nil, fmt.Errorf("answer: {then %.20s}: want a number of answers", times)
			}
			a.times = int(n)
			a.next, err = ParseAnswer(text)
			return a, err
		case isExit:
			n, err := strconv.ParseUint(status, 10, 8)
			if err != nil {
				return nil, fmt.Errorf("answer: {exit %.20s}: want 0 to 255", status)
			}
			a.status = uint32(n)
		case name == "stdout":
			stream = fleet.Stdout
		case name == "stderr":
			stream = fleet.Stderr
		case answerValues[name] != nil:
			a.pieces = append(a.pieces, piece{value: answerValues[name], stream: stream})
		default:
			return nil, fmt.Errorf("answer: there is no placeholder {%.20s}", name)
		}
	}
	flush()
	return a, nil
}

// due returns what host i answers now.
func (a *Answer) due(f *Fleet, i int) *Answer {
	if a.next == nil {
		return a
	}
	f.mu.Lock()
	if f.answered == nil {
		f.answered = make(map[int]int)
	}
	n := f.answered[i]
	f.answered[i]++
	f.mu.Unlock()
	for ; a.next != nil && n >= a.times; a = a.next {
		n -= a.times
	}
	return a
}

// run writes the answer to a session.
func (a *Answer) run(s *session) shell.Exit {
	a = a.due(s.conn.fleet, s.conn.host)
	now := &answering{session: s, at: time.Now().UTC(), random: s.conn.fleet.keys.random("answer " + s.entry.Host)}
	var streams [fleet.NumStreams]bytes.Buffer
	for _, p := range a.pieces {
		if p.value != nil {
			p.text = p.value(now)
		}
		streams[p.stream].WriteString(p.text)
	}
	for i, w := range []io.Writer{fleet.Stdout: s.stdout, fleet.Stderr: s.stderr} {
		text := streams[i].Bytes()
		if len(text) == 0 {
			continue
		}
		if text[len(text)-1] != '\n' {
			text = append(text, '\n')
		}
		if _, err := w.Write(text); err != nil {
			return shell.Exit{Broken: true}
		}
	}
	return shell.Exit{Status: a.status}
}

// Shares spreads hosts over parts of a fleet: it returns for each host the number of its
// share, or -1 if it is in none. Shares are from 0 to 1, 1 in all; each gets its part of the
// hosts, rounded, the same ones each time.
func Shares(hosts int, shares ...float64) ([]int, error) {
	sum := 0.0
	for _, s := range shares {
		if s < 0 || s > 1 {
			return nil, fmt.Errorf("a share of %v: want 0 to 1", s)
		}
		sum += s
	}
	if sum > 1+1e-9 {
		return nil, fmt.Errorf("shares of %v in all: want at most 1", sum)
	}
	parts := make([]int, hosts)
	for i := range parts {
		parts[i] = -1
	}
	order := rand.New(rand.NewPCG(1, uint64(hosts))).Perm(hosts) //nolint:gosec // which hosts is no secret
	at, end := 0, 0.0
	for n, s := range shares {
		end += s
		for ; at < min(hosts, int(end*float64(hosts)+0.5)); at++ {
			parts[order[at]] = n
		}
	}
	return parts, nil
}
