package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/pattern"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// An sftpPull is one attempt to pull by SFTP. It makes the records of pullScript, which a puller
// takes as if they came from the host: what a server says is held against the same rules.
//
// SFTP has no digests. A file is complete if as many bytes came as it had when it was opened; if
// size or time have changed since, or each file must be verified, it is read a second time.
type sftpPull struct {
	sftpSession
	puller  *puller
	listed  int // names that were read
	fetches []*fetch
}

func newSFTPPull(p *Pull, a *ssh.Attempt, sources []source) *sftpPull {
	s := &sftpPull{puller: newPuller(p, a, sources, "")}
	s.sftpSession = newSFTPSession(s.copy)
	s.ahead = s.fetchMore
	r := s.puller
	r.rereads = true
	r.runs.Line, r.runs.Subsystem, r.runs.Stdout, r.runs.Stream = "sftp", true, s, s
	return s
}

func (s *sftpPull) attempt() *ssh.Attempt                     { return s.puller.attempt() }
func (s *sftpPull) start(ctx context.Context) context.Context { return s.puller.start(ctx) }
func (s *sftpPull) slow() bool                                { return s.puller.slow() }

// judge implements job.
func (s *sftpPull) judge(end fleet.End) fleet.End {
	s.end()
	return noSFTP(s.puller.judge(end))
}

// Write implements io.Writer.
func (s *sftpPull) Write(p []byte) (int, error) {
	s.puller.came.Store(true)
	return s.sftpSession.Write(p)
}

// errAborted ends a pull of which nothing is kept.
var errAborted = errors.New("the pull was given up")

// take gives the puller a record. The words of a record that is not read are those of pullScript.
func (s *sftpPull) take(kind, at string, words ...string) error {
	if len(at) > maxPath {
		s.puller.abort(fleet.ReasonBadAnswer, fmt.Errorf("a path of more than %d bytes", maxPath))
	} else {
		s.puller.take(record{kind: kind, fields: words, path: at})
	}
	if s.puller.fatal.err != nil {
		return errAborted
	}
	return nil
}

// copy is the whole pull.
func (s *sftpPull) copy() error {
	for i, from := range s.puller.sources {
		if err := s.take("s", "", strconv.Itoa(i)); err != nil {
			return err
		}
		at := from.text
		if at[0] != '/' {
			at = "./" + at
		}
		var err error
		if from.pattern {
			err = s.matches(from)
		} else {
			err = s.entry(at, 0)
		}
		if err != nil {
			return err
		}
	}
	return s.take("end", "", strconv.Itoa(s.puller.count))
}

// notRead notes what an answer says of a path that is not read.
func (s *sftpPull) notRead(at string, err error) error {
	word := "read_failed"
	code, ok := errors.AsType[status](err)
	switch {
	case !ok:
		return err
	case code == statusNoFile:
		word = "no_file"
	case code == statusDenied:
		word = "permission_denied"
	}
	return s.take("x", at, word)
}

func (s *sftpPull) look(kind byte, at string) (attributes, error) {
	f, err := s.call(kind, fxAttrs, at)
	if err != nil {
		return attributes{}, err
	}
	return f.attributes(), nil
}

// entry pulls what is at a path, which is in depth directories of what was asked for.
func (s *sftpPull) entry(at string, depth int) error {
	kind := byte(fxLstat)
	if depth == 0 { // a link that is named is followed
		kind = fxStat
	}
	a, err := s.look(kind, at)
	if err != nil {
		return s.notRead(at, err)
	}
	return s.known(at, depth, a)
}

// known is entry for attributes that are known.
func (s *sftpPull) known(at string, depth int, a attributes) error {
	switch {
	case a.has&attrPerm == 0:
		return s.take("x", at, "not_regular") // the server does not say what it is
	case a.is(modeLink):
		f, err := s.call(fxReadlink, fxName, at)
		if errors.Is(err, errEnded) {
			return err
		}
		target := ""
		if err == nil && f.uint32() == 1 {
			target = f.text()
		}
		s.puller.take(record{kind: "l", path: at, target: target})
		if s.puller.fatal.err != nil {
			return errAborted
		}
		return nil
	case a.is(modeDir):
		return s.directory(at, depth, a)
	case a.is(modeFile):
		return s.file(at)
	case depth > 0:
		return s.take("o", at)
	}
	return s.take("x", at, "not_regular")
}

// maxListed is how many names are read of one host.
const maxListed = 1_000_000

// list returns what is in a directory and wanted, in the order of the names.
func (s *sftpPull) list(dir string, wanted func(name string) bool) (entries []dirEntry, err error) {
	size := 0
	err = s.readDir(dir, func(e dirEntry) error {
		switch s.listed++; {
		case s.listed > maxListed:
			return s.tooMany()
		case e.name == "." || e.name == ".." || !wanted(e.name):
			return nil
		case e.name == "" || strings.Contains(e.name, "/"):
			s.puller.abort(fleet.ReasonBadAnswer, fmt.Errorf("%w: the name %.200q in a directory", errNotAsked, e.name))
			return errAborted
		}
		entries = append(entries, e)
		if size += len(e.name); len(entries) > s.puller.pull.MaxFiles || size > maxNames {
			return s.tooMany()
		}
		return nil
	})
	slices.SortFunc(entries, func(a, b dirEntry) int { return strings.Compare(a.name, b.name) })
	return entries, err
}

func (s *sftpPull) directory(at string, depth int, a attributes) error {
	switch {
	case s.puller.tree == nil:
		return s.take("x", at, "is_directory")
	case depth >= maxDepth:
		return s.take("x", at, "too_deep")
	}
	entries, err := s.list(at, func(string) bool { return true })
	if err != nil {
		return s.notRead(at, err)
	}
	if err := s.take("d", at, strconv.FormatUint(uint64(a.perm&0o7777), 8)); err != nil {
		return err
	}
	for i, e := range entries {
		s.fetchFrom(at, entries[i:min(i+4*maxFetches, len(entries))])
		name := strings.TrimSuffix(at, "/") + "/" + e.name
		if e.has&attrPerm == 0 {
			err = s.entry(name, depth+1)
		} else {
			err = s.known(name, depth+1, e.attributes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// matches pulls what matches a pattern, as a shell would expand it. A link to a directory is not
// followed: it was not named.
func (s *sftpPull) matches(from source) error {
	start := "./"
	if from.text[0] == '/' {
		start = "/"
	}
	found, err := s.expand(start, from.parts)
	if err != nil {
		return err
	}
	none := true
	for _, at := range found {
		depth := 0
		a, err := s.look(fxLstat, at)
		link := err == nil && a.is(modeLink)
		if link {
			a, err = s.look(fxStat, at)
		}
		if errors.Is(err, errEnded) {
			return err
		}
		isDir := err == nil && a.is(modeDir)
		if !isDir && strings.HasSuffix(from.text, "/") {
			continue
		}
		if none = false; link && isDir {
			depth = 1
		}
		if err := s.entry(at, depth); err != nil {
			return err
		}
	}
	if none {
		return s.take("x", start+strings.Join(from.parts, "/"), "no_file")
	}
	return nil
}

// expand returns the paths that the parts match below a directory, which ends in a slash.
func (s *sftpPull) expand(below string, parts []string) (found []string, err error) {
	for i, part := range parts {
		re := matcher(part)
		if re == nil {
			below += part + "/"
			continue
		}
		entries, err := s.list(below, func(name string) bool {
			return re.MatchString(name) && (part[0] == '.' || !strings.HasPrefix(name, "."))
		})
		if _, ok := errors.AsType[status](err); ok {
			return nil, nil // it is no directory, or closed
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if i == len(parts)-1 {
				found = append(found, below+e.name)
				continue
			}
			more, err := s.expand(below+e.name+"/", parts[i+1:])
			if err != nil {
				return nil, err
			}
			if found = append(found, more...); len(found) > s.puller.pull.MaxFiles {
				return nil, s.tooMany()
			}
		}
		return found, nil
	}
	at := strings.TrimSuffix(below, "/")
	_, err = s.look(fxLstat, at)
	if _, ok := errors.AsType[status](err); ok {
		return nil, nil
	}
	return []string{at}, err
}

// matcher returns nil for what is no pattern, or not one that a shell knows.
func matcher(part string) *regexp.Regexp {
	if !isPattern(part) {
		return nil
	}
	text, err := pattern.Regexp(strings.ReplaceAll(part, `\`, `\\`), pattern.Filenames|pattern.EntireString)
	if err != nil {
		return nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil
	}
	return re
}

func (s *sftpPull) tooMany() error {
	why := pullReasons("too_many_files")
	s.puller.abort(why.reason, hint.Wrap(errors.New(why.text), why.hint))
	return errAborted
}

// An arrival passes the bytes of a file on, until the pull is given up.
type arrival struct{ *puller }

func (a arrival) Write(p []byte) (int, error) {
	if a.data(p); a.fatal.err != nil {
		return 0, errAborted
	}
	return len(p), nil
}

// file pulls a file.
func (s *sftpPull) file(at string) error {
	f, err := s.call(fxOpen, fxHandle, at, uint32(openRead), uint32(0))
	if err != nil {
		s.fetched(at, "")
		return s.notRead(at, err)
	}
	handle := f.text()
	err = s.contents(at, handle)
	if errors.Is(err, errEnded) || errors.Is(err, errAborted) {
		return err
	}
	s.fetched(at, handle)
	s.drop(s.ask(fxClose, part{}, handle)) // whatever the answer is, nothing depends on it
	return err
}

// contents pulls an open file.
func (s *sftpPull) contents(at, handle string) error {
	r := s.puller
	before, err := s.look(fxFstat, handle)
	if err != nil {
		return s.notRead(at, err)
	}
	s.fetchedAnother(at, handle, before.size)
	if before.has&attrSize == 0 { // it is counted
		counted := new(counter)
		if err := s.readHandle(handle, counted, 0, r.pull.MaxSize+1); err != nil {
			return s.notRead(at, err)
		}
		before.size = uint64(counted.n) //nolint:gosec // it is positive
	}
	switch {
	case before.has&attrPerm != 0 && !before.is(modeFile):
		return s.take("x", at, "not_regular")
	case before.size > uint64(r.pull.MaxSize-r.total): //nolint:gosec // it is positive
		return s.take("x", at, "too_large")
	}
	mode, size := uint32(0o600), int64(before.size) //nolint:gosec // not above MaxSize
	if before.has&attrPerm != 0 {
		mode = before.perm & 0o7777
	}
	if err := s.take("f", at, strconv.FormatInt(size, 10), strconv.FormatUint(uint64(mode), 8), strconv.FormatUint(uint64(before.mtime), 10), "-"); err != nil {
		return err
	}
	file := r.now
	if file == nil || file.out == nil { // it is not wanted
		r.endFile()
		return nil
	}
	if err := s.readHandle(handle, arrival{r}, 0, size); err != nil {
		if _, ok := errors.AsType[status](err); !ok {
			return err
		}
		r.endFile() // it is too short
		return nil
	}
	after, err := s.look(fxFstat, handle)
	if errors.Is(err, errEnded) {
		return err
	}
	if r.pull.RequireVerified || err != nil || after.size != before.size || after.mtime != before.mtime {
		again := sha256.New()
		if err := s.readHandle(handle, again, 0, size); errors.Is(err, errEnded) {
			return err
		}
		file.digest = fmt.Sprintf("%x", again.Sum(nil))
	}
	r.endFile()
	return nil
}

// A counter counts bytes.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
