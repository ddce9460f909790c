package wire

import (
	"bytes"
	"strings"
)

// A greeting reads what precedes the packets: any lines, then the version line (RFC 4253 §4.2).
type greeting struct {
	lines int
	bytes int
	kept  []byte // the first bytes of it, at most MaxGreeting
}

// line reads one line from p and returns the rest. whole is false while the line is
// incomplete; version is "" for a line before the version line.
func (g *greeting) line(p []byte) (version string, rest []byte, whole bool, err error) {
	end := bytes.IndexByte(p, '\n')
	limit, what := MaxGreetingLine, "a line before the version line"
	if bytes.HasPrefix(p, []byte("SSH-")) {
		limit, what = MaxVersionLine, "the version line"
	}
	if end < 0 && len(p) < limit {
		return "", p, false, nil
	}
	if end < 0 || end >= limit {
		return "", p, false, g.notSSH(p, "%s is longer than %d bytes", what, limit)
	}
	line := strings.TrimSuffix(string(p[:end]), "\r")
	if !strings.HasPrefix(line, "SSH-") {
		g.lines++
		g.bytes += end + 1
		if g.lines > MaxGreetingLines || g.bytes > MaxPreAuth {
			return "", p, false, g.notSSH(p, "%d lines came and no version line", g.lines)
		}
		g.keep(p[:end+1])
		return "", p[end+1:], true, nil
	}
	if !strings.HasPrefix(line, "SSH-2.0-") && !strings.HasPrefix(line, "SSH-1.99-") {
		return "", p, false, g.notSSH(p, "it speaks another version of the protocol")
	}
	if !printable(line) {
		return "", p, false, g.notSSH(p, "its version line is not printable")
	}
	return line, p[end+1:], true, nil
}

// printable reports whether s is printable US-ASCII.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

func (g *greeting) keep(p []byte) {
	g.kept = append(g.kept, p[:min(len(p), MaxGreeting-len(g.kept))]...)
}

func (g *greeting) notSSH(p []byte, format string, args ...any) error {
	g.keep(p)
	args = append(args, g.kept[:min(len(g.kept), 64)])
	return fail(KindNotSSH, "RFC 4253 §4.2", "not SSH: "+format+"; it began with %q", args...)
}
