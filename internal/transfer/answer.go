package transfer

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"shoal/fleet"
	"shoal/internal/hint"
)

// maxLine is one more than the longest line of an answer, in bytes.
const maxLine = 200

// An answer is a line of the script, in the standard output. What comes before its mark, such as
// text of login files, is dropped; so is everything after it.
type answer struct {
	mark  []byte
	held  []byte // the longest suffix that may be the beginning of the mark, or what came of the line
	noisy bool   // something came before the mark
	seen  bool   // the mark
	whole bool   // the line, without its newline, is held
}

func newAnswer(nonce string) *answer { return &answer{mark: []byte("shoal/1 " + nonce + " ")} }

// Write implements io.Writer.
func (a *answer) Write(p []byte) (int, error) {
	a.take(p)
	return len(p), nil
}

// take adds p. It returns what is behind the line, when that becomes whole and afterwards.
func (a *answer) take(p []byte) (rest []byte) {
	if a.whole {
		return p
	}
	if !a.seen {
		a.held = append(a.held, p...)
		at := bytes.Index(a.held, a.mark)
		if at < 0 {
			over := max(0, len(a.held)-len(a.mark))
			a.noisy = a.noisy || over > 0
			a.held = append(a.held[:0], a.held[over:]...)
			return nil
		}
		a.noisy = a.noisy || at > 0
		p, a.held, a.seen = a.held[at+len(a.mark):], nil, true
	}
	line, rest, ended := bytes.Cut(p, []byte("\n"))
	if a.held = append(a.held, line[:min(len(line), maxLine-len(a.held))]...); len(a.held) == maxLine {
		return nil // too long, and never whole
	}
	a.whole = ended
	return rest
}

// A verdict is the far end's answer.
type verdict struct {
	done          bool
	written, same int // numbers of entries
	verified      bool
	label         bool   // an SELinux label was not restored
	word          string // if not done: why
	entry         int    // index of the entry at work; negative: none
}

// parse returns the answer; ok means that there is a complete one.
func (a *answer) parse(entries int) (v verdict, ok bool) {
	if !a.whole {
		return v, false
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > entries {
			ok = false
		}
		return n
	}
	ok = true
	switch f := strings.Fields(string(a.held)); {
	case len(f) >= 3 && f[0] == "done":
		v.done, v.written, v.same = true, number(f[1]), number(f[2])
		v.verified, v.label = len(f) >= 4 && f[3] == "1", len(f) == 5 && f[4] == "label"
		return v, ok && v.written+v.same <= entries
	case len(f) == 3 && f[0] == "no":
		v.word, v.entry = f[1], number(f[2])-1
		_, known := reasons[v.word]
		return v, ok && known
	}
	return v, false
}

// reasons are the words of the script.
var reasons = map[string]struct {
	reason     fleet.Reason
	text, hint string
}{
	"no_space":          {fleet.ReasonNoSpace, "no space is left on the file system", "free some there; df -h says how much it has"},
	"permission_denied": {fleet.ReasonPermissionDenied, "the account may not do it", "another path, or an account that may (-l)"},
	"read_only":         {fleet.ReasonReadOnly, "the file system is read-only", "another DEST, or mount it for writing"},
	"is_directory":      {fleet.ReasonIsDirectory, "a directory is in the file's place, and is never replaced", "remove it there, or name another DEST"},
	"not_directory":     {fleet.ReasonNotDirectory, "something else is where a directory is needed", "several files, and directories, go into a directory"},
	"no_home":           {fleet.ReasonNoParent, "a relative path is seen from the account's home, which does not exist", "name the whole path, from / on"},
	"no_parent":         {fleet.ReasonNoParent, "the directory does not exist", "--parents makes it"},
	"not_regular":       {fleet.ReasonNotRegular, "what is there is a device, a pipe, a socket or a circle of links", "remove it there, or name another DEST"},
	"busy":              {fleet.ReasonBusy, "the file is in use, and cannot be replaced or written", "a mounted one can be written with --in-place, and a running program replaced without it"},
	"no_atomic_replace": {fleet.ReasonNoAtomicReplace, "the file could not be replaced by renaming another to it", "--in-place writes into it; by SFTP --replace-unsafe deletes it first"},
	"digest_mismatch":   {fleet.ReasonDigestMismatch, "what arrived there is not what was sent", "its disk or memory may be failing"},
	"write_failed":      {fleet.ReasonWriteFailed, "writing failed", "standard error has what the host said; a quota may be used up"},
	"owner_failed":      {fleet.ReasonOwnerFailed, "the owner could not be set", "push as root (-l root), or --in-place to write into the file that is there"},
	"unverified":        {fleet.ReasonUnverified, "no tool for SHA-256 was found there", "without --require-verified the size alone is checked, and the result says so"},
	"no_file":           {fleet.ReasonNoFile, "it does not exist", "ls there says what does"},
	"too_large":         {fleet.ReasonTooLarge, "it is larger than --max-size", "--max-size says how much may come"},
	"read_failed":       {fleet.ReasonReadFailed, "reading failed", "standard error has what the host said"},
	"no_tool":           {fleet.ReasonNoTool, "printf, stat or readlink is missing there", "it needs the usual tools of a POSIX system"},
}

// noAnswerHint is for hosts without an answer.
const noAnswerHint = "it needs /bin/sh and the usual tools of a POSIX system, unless --via sftp; standard error has what it said"

// failure returns why what was tried is not done.
func (v verdict) failure(what string) (fleet.Reason, error) {
	why := reasons[v.word]
	return why.reason, hint.Wrap(fmt.Errorf("%s: %s", what, why.text), why.hint)
}

// text says what was done.
func (v verdict) text(p *Push) string {
	if p.Options.dry() {
		return fmt.Sprintf("would be written: %d, the same already: %d\n", v.written, v.same)
	}
	how := "written"
	if p.Options.InPlace {
		how = "written in place"
	}
	if p.Only {
		if v.same > 0 {
			return "the same already\n"
		}
		return fmt.Sprintf("%s: %d bytes\n", how, p.Size)
	}
	return fmt.Sprintf("%s: %d, the same already: %d\n", how, v.written, v.same)
}
