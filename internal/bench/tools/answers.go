package main

import (
	"bytes"
	"iter"
	"net"
	"strings"
)

// answers are the lines that a tool printed as each host's output.
type answers map[string][]string

func (a answers) add(host, line string) { a[host] = append(a[host], line) }

// correct counts the hosts whose output is exactly the expected line.
func (a answers) correct(hosts []string) int {
	n := 0
	for _, host := range hosts {
		if lines := a[host]; len(lines) == 1 && lines[0] == want(host) {
			n++
		}
	}
	return n
}

// lines yields the lines of a tool's output, without carriage returns from
// terminals.
func lines(out []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range bytes.Lines(out) {
			if !yield(strings.TrimRight(string(line), "\r\n")) {
				return
			}
		}
	}
}

// prefixed parses "host: line" and "host:port: line" with the given separator.
func prefixed(separator string) func([]byte) answers {
	return func(out []byte) answers {
		a := make(answers)
		for line := range lines(out) {
			host, text, ok := strings.Cut(line, separator)
			if !ok {
				continue
			}
			if name, _, err := net.SplitHostPort(host); err == nil {
				host = name
			}
			a.add(host, text)
		}
		return a
	}
}

// blocks parses the output of parallel-ssh -i: a host's output after a line
// "[1] 12:00:00 [SUCCESS] host".
func blocks(out []byte) answers {
	a := make(answers)
	var host string
	for line := range lines(out) {
		fields := strings.Fields(line)
		if len(fields) >= 4 && strings.HasPrefix(line, "[") {
			switch fields[2] {
			case "[SUCCESS]":
				host = fields[3]
				continue
			case "[FAILURE]":
				host = ""
				continue
			}
		}
		if host != "" {
			a.add(host, line)
		}
	}
	return a
}

// bare parses output without host names: the host is the one that the line
// itself contains.
func bare(out []byte) answers {
	a := make(answers)
	for line := range lines(out) {
		a.add(line[strings.LastIndexByte(line, ' ')+1:], line)
	}
	return a
}

// oneLine parses the output of ansible -o: "host | CHANGED | rc=0 | (stdout)
// text", with "\n" escaped between lines and "\r" before it.
func oneLine(out []byte) answers {
	a := make(answers)
	for line := range lines(out) {
		head, text, ok := strings.Cut(line, " | (stdout) ")
		host, status, _ := strings.Cut(head, " | ")
		if !ok || !strings.HasPrefix(status, "CHANGED | rc=0") {
			continue
		}
		text = strings.ReplaceAll(text, `\r`, "")
		for text := range strings.SplitSeq(strings.TrimSuffix(text, `\n`), `\n`) {
			a.add(host, text)
		}
	}
	return a
}
