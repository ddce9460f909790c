package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// A puller receives what one attempt pulls. Nothing has its final name before the whole answer
// has come.
type puller struct {
	pull    *Pull
	runs    ssh.Attempt
	stdout  io.Writer
	sources []source
	records *recordReader // not by SFTP
	rereads bool          // files are verified by reading them again, if at all

	cancel  context.CancelFunc // ends the attempt
	came    atomic.Bool        // something, since watch called look
	watch   *time.Timer        // nil: no limit
	waits   atomic.Bool        // watch begins with the first byte
	stalled atomic.Bool
	host    string    // directory below Pull.Dir
	tree    *hostTree // nil: the file is shown
	shown   bytes.Buffer

	now       *incoming // the file whose bytes come; nil: none
	from      int       // index of the source
	count     int       // of records
	entries   int       // all but those of sources
	total     int64     // sizes of the files that are taken
	announced int64     // sizes of all files
	noise     int64     // bytes that belong to nothing
	began     bool      // a record has come
	noisy     bool      // and noise before it
	ended     bool      // the last record has come
	links     []pulledLink

	files, directories int
	bytes              int64
	last               string // place of a file
	renamed            int    // names that are different here
	leftLinks, others  int    // left out
	unverified         bool

	failed   int // entries
	failures []string
	first    pullFailure // of the entries
	fatal    pullFailure // of all
}

// A pullFailure is why something was not pulled; the zero value: it was.
type pullFailure struct {
	reason fleet.Reason
	err    error
}

// An incoming is a file that is being received.
type incoming struct {
	path, place string
	size, got   int64
	mode        fs.FileMode
	time        int64  // seconds since 1970; 0 is not known
	digest      string // "" if the host has no tool for it
	sum         hash.Hash
	out         io.Writer     // nil: it is dropped
	file        *sparseWriter // nil: it is shown, or dropped
}

// A pulledLink is made after all files, so that nothing is written through it.
type pulledLink struct{ path, place, target string }

// The limits of what a host says.
const (
	maxNoise    = 1 << 20 // bytes that are neither a record nor of a file
	maxFailures = 10      // that are told one by one
)

func newPuller(p *Pull, a *ssh.Attempt, sources []source, nonce string) *puller {
	r := &puller{pull: p, runs: *a, stdout: a.Stdout, sources: sources, from: -1, records: newRecordReader(nonce)}
	r.records.record, r.records.data, r.records.broken = r.take, r.data, r.broken
	if p.store != nil {
		r.host, r.tree = p.host(a.Target.Target), p.store.newTree()
	}
	return r
}

func (r *puller) attempt() *ssh.Attempt { return &r.runs }
func (r *puller) slow() bool            { return r.files > fewFiles } // they are renamed
func (r *puller) end()                  {}

// fewFiles are renamed at once.
const fewFiles = 64

// start implements job.
func (r *puller) start(ctx context.Context) context.Context {
	ctx, r.cancel = context.WithCancel(ctx)
	if limit := r.pull.stall(); limit > 0 {
		r.came.Store(true)
		look := func() {
			if r.came.Swap(false) {
				r.watch.Reset(limit)
				return
			}
			r.stalled.Store(true)
			r.cancel()
		}
		r.watch = time.AfterFunc(1<<62, look)
		if r.waits.Store(r.pull.Queued); !r.pull.Queued {
			r.watch.Reset(limit) // look reads watch
		}
	}
	return ctx
}

// Write implements io.Writer.
func (r *puller) Write(p []byte) (int, error) {
	r.came.Store(true)
	if r.waits.CompareAndSwap(true, false) {
		r.watch.Reset(r.pull.stall())
	}
	return r.records.Write(p)
}

// abort ends the attempt: nothing of it is kept.
func (r *puller) abort(reason fleet.Reason, err error) {
	if r.fatal.err == nil {
		r.fatal = pullFailure{reason, err}
	}
	r.records.stop()
	if r.cancel != nil {
		r.cancel()
	}
}

func (r *puller) broken() {
	r.abort(fleet.ReasonBadAnswer, errors.New("what the host answered is not what a pull answers"))
}

// fail notes an entry that was not pulled.
func (r *puller) fail(path string, reason fleet.Reason, err error) {
	short, advice := hint.Split(err.Error())
	if r.failed++; r.failed == 1 {
		r.first = pullFailure{reason, hint.Wrap(fmt.Errorf("pulling %.200q: %s", path, short), advice)}
	}
	if len(r.failures) < maxFailures {
		r.failures = append(r.failures, fmt.Sprintf("not pulled: %.200q: %s: %s", path, reason, short))
	}
}

func (r *puller) failFor(path, word string) {
	why := pullReasons(word)
	r.fail(path, why.reason, hint.Wrap(errors.New(why.text), why.hint))
}

// take receives a record.
func (r *puller) take(rec record) {
	r.endFile()
	if !r.began {
		r.began, r.noisy = true, r.noise > 0
	}
	switch {
	case r.fatal.err != nil:
		return
	case rec.kind == "end":
		if r.ended = len(rec.fields) == 1 && rec.fields[0] == strconv.Itoa(r.count); !r.ended {
			r.broken()
		}
		r.records.stop()
		return
	case rec.kind == "no" && len(rec.fields) == 1 && pullReasons(rec.fields[0]).reason != "":
		why := pullReasons(rec.fields[0])
		r.fatal = pullFailure{why.reason, hint.Wrap(errors.New(why.text), why.hint)} // the host ends by itself
		r.records.stop()
		return
	}
	r.count++
	if rec.kind == "s" {
		if r.from++; len(rec.fields) != 1 || rec.fields[0] != strconv.Itoa(r.from) || r.from >= len(r.sources) {
			r.broken()
		}
		return
	}
	if r.entries++; r.entries > r.pull.MaxFiles {
		why := pullReasons("too_many_files")
		r.abort(why.reason, hint.Wrap(errors.New(why.text), why.hint))
		return
	}
	if r.from < 0 {
		r.broken()
		return
	}
	switch rec.kind {
	case "f":
		r.beginFile(rec)
	case "d":
		r.directory(rec)
	case "l":
		r.link(rec)
	case "o":
		r.others++
	case "x":
		if len(rec.fields) != 1 || pullReasons(rec.fields[0]).reason == "" {
			r.broken()
			return
		}
		r.failFor(rec.path, rec.fields[0])
	default:
		r.broken()
	}
}

// place returns where a path goes; ok is false for one that is not taken.
func (r *puller) place(rec record, directory bool) (place string, ok bool) {
	place, err := r.sources[r.from].place(rec.path)
	switch {
	case err != nil:
		r.abort(fleet.ReasonBadAnswer, fmt.Errorf("%w: %.200q", err, rec.path))
		return "", false
	case r.tree == nil:
		return place, true
	case place == "" && !directory:
		r.fail(rec.path, fleet.ReasonBadName, errors.New("it is no name of a file"))
		return "", false
	}
	again, err := r.tree.claim(place, seen{rec.path, r.from, directory})
	switch {
	case errors.Is(err, errTooManyNames):
		r.abort(fleet.ReasonTooManyFiles, err)
	case err != nil:
		r.fail(rec.path, fleet.ReasonNameCollision, hint.Wrap(err, "pull them one by one, into different directories"))
	case again && directory: // made for what is in it, or by another source
		return place, true
	case again:
	default:
		parts := partsOf(rec.path)
		if len(parts) > 0 && localName(parts[len(parts)-1]) != parts[len(parts)-1] {
			r.renamed++
		}
		return place, true
	}
	return place, false
}

// beginFile receives the record of a file, whose bytes follow.
func (r *puller) beginFile(rec record) {
	if len(rec.fields) != 4 {
		r.broken()
		return
	}
	size, err := strconv.ParseInt(rec.fields[0], 10, 64)
	mode, err2 := strconv.ParseUint(rec.fields[1], 8, 16)
	when, err3 := strconv.ParseInt(rec.fields[2], 10, 64)
	if errors.Join(err, err2, err3) != nil || size < 0 {
		r.broken()
		return
	}
	f := &incoming{path: rec.path, size: size, mode: fs.FileMode(mode) & 0o755, time: when, sum: sha256.New()}
	if f.digest = rec.fields[3]; f.digest == "-" {
		f.digest = ""
	}
	r.now = f
	if r.announced += min(size, LargestMaxSize); r.announced > r.pull.MaxSize+1000*int64(r.entries) { // it rounds each down
		why := pullReasons("too_large")
		r.abort(why.reason, hint.Wrap(fmt.Errorf("pulling %.200q: %s", rec.path, why.text), why.hint))
		return
	}
	if size > r.pull.MaxSize-r.total {
		r.failFor(rec.path, "too_large")
		return
	}
	r.total += size
	var ok bool
	if f.place, ok = r.place(rec, false); !ok {
		return
	}
	if f.digest == "" && r.pull.RequireVerified && !r.rereads {
		r.failFor(rec.path, "unverified")
		return
	}
	if r.tree == nil {
		f.out = &r.shown
		return
	}
	file, err := r.tree.create(f.place)
	if err != nil {
		r.localError(rec.path, err)
		return
	}
	f.file = &sparseWriter{file: file}
	f.out = f.file
}

// localError notes a failure of this machine: of an entry if its name is the cause, else of all.
func (r *puller) localError(path string, err error) {
	switch {
	case errors.Is(err, fs.ErrExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR):
		r.fail(path, fleet.ReasonNameCollision, err)
	case errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.EILSEQ), errors.Is(err, syscall.EINVAL):
		r.fail(path, fleet.ReasonBadName, fmt.Errorf("no file here can have this name: %w", err))
	default:
		r.abort(fleet.ReasonStoreFailed, fmt.Errorf("storing what was pulled: %w", err))
	}
}

// data receives bytes that are no record.
func (r *puller) data(p []byte) {
	f := r.now
	if f == nil {
		if r.noise += int64(len(p)); r.noise > maxNoise {
			r.abort(fleet.ReasonBadAnswer, fmt.Errorf("the host said more than %d bytes that do not belong to the answer", maxNoise))
		}
		return
	}
	part := p[:min(int64(len(p)), max(f.size-f.got, 0))]
	f.got += int64(len(p)) // more than its size make it different from what it was
	if f.got-f.size > maxNoise {
		r.broken()
		return
	}
	if f.out == nil {
		return
	}
	f.sum.Write(part)
	if _, err := f.out.Write(part); err != nil {
		r.abort(fleet.ReasonStoreFailed, fmt.Errorf("storing what was pulled: %w", err))
	}
}

// endFile ends the file whose bytes came, which is complete or is removed.
func (r *puller) endFile() {
	f := r.now
	r.now = nil
	if f == nil || f.out == nil {
		return
	}
	whole := f.got == f.size && (f.digest == "" || f.digest == fmt.Sprintf("%x", f.sum.Sum(nil)))
	if f.file != nil {
		if err := r.store(f, whole); err != nil {
			r.abort(fleet.ReasonStoreFailed, fmt.Errorf("storing what was pulled: %w", err))
			return
		}
	}
	if !whole {
		r.shown.Reset()
		r.fail(f.path, fleet.ReasonChangedWhileRead, hint.New(fmt.Sprintf("it was not read as it was at the beginning (%d of %d bytes)", f.got, f.size), "try again when nobody writes to it"))
		return
	}
	r.files++
	r.bytes += f.size
	r.last = f.place
	r.unverified = r.unverified || f.digest == ""
}

// store ends the file here.
func (r *puller) store(f *incoming, whole bool) error {
	var err error
	if whole && r.fatal.err == nil {
		err = errors.Join(f.file.finish(), f.file.file.Chmod(f.mode|0o400))
	}
	if err = errors.Join(err, f.file.file.Close()); err != nil || r.fatal.err != nil {
		return err // all is removed
	}
	if !whole {
		return r.tree.remove(f.place)
	}
	if r.pull.Times && f.time != 0 {
		return r.tree.chtimes(f.place, time.Unix(f.time, 0))
	}
	return nil
}

func (r *puller) directory(rec record) {
	mode, err := strconv.ParseUint(strings.Join(rec.fields, " "), 8, 16)
	if err != nil {
		r.broken()
		return
	}
	place, ok := r.place(rec, true)
	if !ok || r.tree == nil {
		return
	}
	if err := r.tree.mkdir(place); err == nil {
		err = r.tree.chmod(place, fs.FileMode(mode)&0o755|0o700)
		if err != nil {
			r.localError(rec.path, err)
			return
		}
		r.directories++
	} else {
		r.localError(rec.path, err)
	}
}

func (r *puller) link(rec record) {
	place, ok := r.place(rec, false)
	if !ok {
		return
	}
	target, safe := r.safe(place, rec.target)
	if !safe || r.tree == nil || r.pull.NoLinks {
		r.leftLinks++
		return
	}
	if r.tree.names += len(target); r.tree.names > maxNames {
		r.abort(fleet.ReasonTooManyFiles, errTooManyNames)
		return
	}
	r.links = append(r.links, pulledLink{rec.path, place, target})
}

// safe reports whether a link leads to within what was asked for, and returns its target as it
// is here. ".." is allowed at the beginning only, where what is above is known to be no link.
func (r *puller) safe(place, target string) (string, bool) {
	if target == "" || strings.HasPrefix(target, "/") {
		return "", false
	}
	top := len(resolve(r.sources[r.from].parts))
	up := len(strings.Split(place, "/")) - 1 - top // directories between the link and the top
	parts := partsOf(target)
	for i, part := range parts {
		switch {
		case part != "..":
			parts[i] = localName(part)
		case i > 0 && parts[i-1] != ".." || up <= 0:
			return "", false
		default:
			up--
		}
	}
	if len(parts) == 0 {
		return ".", up >= 0
	}
	return strings.Join(parts, "/"), up >= 0
}

// keep makes the links and gives everything its place.
func (r *puller) keep() {
	if r.tree == nil {
		return
	}
	for _, l := range r.links {
		if err := r.tree.link(l.place, l.target); err != nil {
			r.localError(l.path, err)
		}
	}
	if r.fatal.err == nil {
		if err := r.tree.commit(r.host); err != nil {
			r.fatal = pullFailure{fleet.ReasonStoreFailed, hint.Wrap(fmt.Errorf("storing what was pulled: %w", err), "remove what is in its place, or name another DIR")}
		}
	}
}

// errSilent ends an attempt whose far end says nothing any more.
var errSilent = errors.New("no byte has come from the host for too long")

// judge implements job.
func (r *puller) judge(end fleet.End) fleet.End {
	r.cancel()
	if r.watch != nil {
		r.watch.Stop()
	}
	aborted := r.fatal.err != nil
	r.endFile()
	if r.rereads && r.ended && end.Outcome == fleet.OutcomeFailed { // the server's status says nothing of the files
		end.Outcome, end.Status = fleet.OutcomeOK, 0
	}
	complete := r.ended && (end.Outcome == fleet.OutcomeOK || end.Outcome == fleet.OutcomeFailed && r.failed > 0)
	if complete && r.fatal.err == nil {
		r.keep()
	}
	if r.tree != nil {
		if err := r.tree.drop(); err != nil && r.fatal.err == nil {
			r.fatal = pullFailure{fleet.ReasonStoreFailed, fmt.Errorf("removing what was not pulled: %w", err)}
		}
	}
	if r.noisy && end.Outcome.Ran() {
		end.Flags |= fleet.FlagNoisyLogin
		r.runs.Tell(noisyText)
	}
	fail := func(f pullFailure) fleet.End {
		end.Outcome, end.Reason, end.Err = fleet.OutcomeFailed, f.reason, f.err
		return end
	}
	switch end.Outcome {
	case fleet.OutcomeOK, fleet.OutcomeFailed:
	case fleet.OutcomeUnknown:
		if r.stalled.Load() {
			end.Reason, end.Err = fleet.ReasonStalled, errSilent
		}
		if !aborted {
			return end
		}
	default:
		return end
	}
	switch {
	case r.fatal.err != nil:
		return fail(r.fatal)
	case !complete:
		advice := noAnswerHint
		if r.rereads {
			advice = noSFTPHint
		}
		return fail(pullFailure{fleet.ReasonNoReceipt, hint.New(fmt.Sprintf("the host did not answer the pull to its end (exit status %d)", end.Status), advice)})
	}
	if r.unverified {
		end.Flags |= fleet.FlagUnverified
	}
	r.report()
	if r.failed == 0 {
		return end
	}
	if r.failed > 1 {
		short, advice := hint.Split(r.first.err.Error())
		r.first.err = hint.Wrap(fmt.Errorf("%s; and %d more", short, r.failed-1), advice)
	}
	return fail(r.first)
}

// report writes what was pulled, or the file that is shown.
func (r *puller) report() {
	if r.stdout == nil {
		return
	}
	if r.tree == nil {
		_, _ = r.stdout.Write(r.shown.Bytes()) // whoever reads it decides about errors
		return
	}
	var b strings.Builder
	switch dir := filepath.Join(r.pull.Dir, r.host); {
	case r.files == 1 && r.directories == 0 && r.leftLinks+r.others+len(r.links)+r.renamed == 0:
		fmt.Fprintf(&b, "%s: %d bytes\n", filepath.Join(dir, filepath.FromSlash(r.last)), r.bytes)
	case r.files+r.directories+r.leftLinks+r.others+len(r.links) > 0:
		fmt.Fprintf(&b, "%s: %d files, %d bytes", dir, r.files, r.bytes)
		for _, n := range []struct {
			count int
			what  string
		}{{len(r.links), "links"}, {r.renamed, "names with control characters, which are % and digits here"}, {r.leftLinks, "links left out"}, {r.others, "left out: no files, directories or links"}} {
			if n.count > 0 {
				fmt.Fprintf(&b, ", %d %s", n.count, n.what)
			}
		}
		b.WriteString("\n")
	}
	for _, f := range r.failures {
		b.WriteString(f + "\n")
	}
	if more := r.failed - len(r.failures); more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	_, _ = io.WriteString(r.stdout, b.String()) // as above
}

// A pullReason is what a word of pullScript means.
type pullReason struct {
	reason     fleet.Reason
	text, hint string
}

// pullReasons returns the zero value for a word that is none.
func pullReasons(word string) pullReason {
	switch word {
	case "too_large":
		return pullReason{fleet.ReasonTooLarge, "there is more than --max-size allows from one host", "--max-size says how much may come"}
	case "too_many_files":
		return pullReason{fleet.ReasonTooManyFiles, "there are more files than --max-files allows from one host", "--max-files says how many may come"}
	case "too_deep":
		return pullReason{fleet.ReasonTooManyFiles, fmt.Sprintf("it is more than %d directories deep", maxDepth), "pull it by itself"}
	case "is_directory":
		return pullReason{fleet.ReasonIsDirectory, "it is a directory, and only a file can be shown", "name DIR to pull it"}
	}
	r := reasons[word]
	return pullReason(r)
}
