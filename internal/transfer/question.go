package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/textdiff"
)

// The first pass over the entries, if the far end is asked what it has before bytes are sent. All
// files are looked at at once, in one round trip, and it refuses before anything has changed.
//
//	part INDEX MIB SUM     so much of a file is there, with this SHA-256: the answer is y or n; once
//	want INDEX             the bytes of this file are to be sent, after y the rest
//	asked                  there is nothing more to send
//
// A dry run has only this pass, and no file is sent:
//
//	new INDEX, same INDEX MODE OWNER, changed INDEX MODE OWNER   what would become of it
//	old INDEX              what the file has follows, at most maxDiff bytes and one, up to the next line
const (
	questionScript = `
_W=;
f() { entry "$@"; same && return; _W=$_W$_k" "; PART };
d() { :; };
l() { :; };
list;
for _k in $_W; do say want $_k; done;
say asked;
`
	dryScript = `
state() { _a=; [ -f "$_p" ] && [ ! -L "$_p" ] && attributes "$_p"; say $1 $_k $_a; [ $1 = same ] && _s=$(($_s+1)) || _w=$(($_w+1)); };
f() { entry "$@";
if same; then state same;
elif [ -f "$_p" ] || [ -L "$_p" ]; then state changed; OLD
else state new; fi; };
d() { _k=$1; if [ -d "$_p" ]; then :; elif [ -e "$_p" ]; then no not_directory; else state new; fi; };
l() { _k=$1; name "$2"; _y=$_z;
if [ -L "$_p" ]; then _z=$(readlink "$_p" && echo .); [ "${_z%?.}" = "$_y" ] && state same || state changed;
elif [ -d "$_p" ]; then no is_directory;
elif [ -e "$_p" ]; then state changed;
else state new; fi; };
list;
say done $_w $_s 1;
exit 0
`
	oldScript = `[ "${10}" ] && [ -f "$_p" ] && [ -r "$_p" ] && { say old $_k; head -c MAX "$_p" >&3; echo >&3; };`

	// partScript takes over what an interrupted push of the same file has left, of one file, in
	// whole steps (see step). It is copied, because it may be another account's.
	//	_P index of the entry   _O size in MiB   _G the directory with it
	partScript = `
part() {
_o=$(($_B/512)); [ $_o -gt 0 ] || _o=1;
for _x in "$_q".shoal-push.$_S.part-*; do
[ -f "$_x/f" ] || continue;
size "$_x/f"; _y=${_y%???};
_O=$((${_y:-0}/1049/$_o*$_o));
[ $_O -gt 0 ] || continue;
_G=$_q.shoal-push.$_S.$_n.p;
mkdir "$_G" || { _G=; return; };
_h=; dd if="$_x/f" of="$_G/f" bs=1048576 count=$_O 2>/dev/null && sum "$_G/f";
if [ "$_h" ]; then
rm -rf "$_x";
_P=$_k;
say part $_k $_O "$_h";
_y=$(dd bs=1 count=1 2>/dev/null);
[ "$_y" = y ] && return;
_P=0;
fi;
rm -rf "$_G"; _G=;
return;
done; };
`
	tryPart    = `[ "$_P" ] || [ $_B -lt 32 ] || part;`
	resumePart = `[ "$_k" = "$_P" ] && { mv "$_G/f" "$_t/$_n" || no write_failed; rm -rf "$_G"; _G=; _B=$(($_B-$_O*16)); _K=$(($_K-$_O*1024)); };`
	// releaseScript keeps what has come of a file, for another push, if it is a MiB at least
	// and not all that was to come.
	releaseScript = `[ $_B -ge 32 ] && [ -s "$_t/$_n" ] && size "$_t/$_n" && case $_y in $_L|?|??|???|????|?????|??????) ;; *) mv "$_t/$_n" "$_t/f" && mv "$_t" "${_q}.shoal-push.$_S.part-$_n" && _t=;; esac;`
)

// maxDiff is the size of the largest file, in bytes, whose text is compared.
const maxDiff = 128 << 10

// askFrom is the size in bytes from which on the far end is asked what it has: less is sent at
// once, which takes a round trip less.
const askFrom = 16 << 10

// asks reports whether the far end is asked before bytes are sent.
func (p *Push) asks() bool {
	switch p.Options.Checksum {
	case "always":
		return true
	case "never":
		return p.Options.dry()
	}
	return p.Options.dry() || p.Size > askFrom
}

// step is the unit of what is taken over of a file from an interrupted push, in MiB; 0 of one that
// is too small.
func (e *Entry) step() int64 {
	if e.Kind != File || e.Size < 2<<20 {
		return 0
	}
	return max(1, e.Size>>20/32)
}

// goesOn reports whether there is a file of which a part is taken over.
func (p *Push) goesOn() bool {
	return slices.ContainsFunc(p.Entries, func(e Entry) bool { return e.step() > 0 })
}

// prefix reports whether the first n MiB of an entry have the SHA-256 sum.
func (p *Push) prefix(ctx context.Context, e *Entry, n int64, sum string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	step := e.step()
	if step == 0 || n <= 0 || n%step != 0 || n > e.Size>>20 {
		return false
	}
	if p.sums == nil {
		p.sums = make(map[*Entry][]string)
	}
	if p.sums[e] == nil {
		sums, hash := []string(nil), sha256.New()
		for at := int64(0); at+step<<20 <= e.Size && ctx.Err() == nil; at += step << 20 {
			if _, err := io.Copy(hash, cancellable{ctx, io.NewSectionReader(p.payload, e.at+at, step<<20)}); err != nil {
				return false
			}
			sums = append(sums, fmt.Sprintf("%x", hash.Sum(nil)))
		}
		if ctx.Err() != nil {
			return false
		}
		p.sums[e] = sums
	}
	return n/step <= int64(len(p.sums[e])) && p.sums[e][n/step-1] == sum
}

type cancellable struct {
	ctx context.Context
	io.Reader
}

func (c cancellable) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.Reader.Read(p)
}

// An exchange is the standard input and output of one attempt in which the far end says what
// it lacks. What it says is bounded: each entry may be named once, in order.
type exchange struct {
	push   *Push
	nonce  string
	host   string
	dest   string
	stdout io.Writer
	ctx    context.Context // of checking a prefix
	cancel context.CancelFunc
	checks sync.WaitGroup

	line   *answer // the line that is to come; the last one stays
	last   bool
	entry  int    // that was named last
	parted bool   // a part was named
	old    []byte // what comes of a file that is there; nil: nothing is expected
	oldFor *Entry

	mu    sync.Mutex // guards what follows
	there *Entry     // of which the first bytes are there
	skip  int64      // so many
	parts []part     // that are to be sent, the first from offset at on
	at    int64
	all   bool // no further part will come
	wake  func()
	flows []*flow

	told    int64       // of at, in Push.flying
	watch   *time.Timer // calls look; nil: no limit
	moved   bool        // something was sent since look was called
	offered bool        // there is more, and nothing but the far end to wait for
	stalled bool
	over    bool
}

// A part is text, or bytes of the payload.
type part struct {
	text     string
	from, to int64
}

func (p part) size() int64 { return int64(len(p.text)) + p.to - p.from }

// exchange returns the exchange of one attempt at the target.
func (p *Push) exchange(nonce string, t ssh.Target, stdout io.Writer) *exchange {
	x := &exchange{push: p, nonce: nonce, host: t.Host.String(), dest: t.Command, stdout: stdout, line: newAnswer(nonce), wake: func() {}}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	if p.before != "" {
		x.parts = append(x.parts, part{text: p.before})
	}
	x.all = p.Options.dry()
	if !p.asks() {
		x.parts, x.all = append(x.parts, part{to: p.Size}), true
	}
	for _, b := range p.buckets(t) {
		x.flows = append(x.flows, &flow{bucket: b, wake: x.more})
	}
	return x
}

// buckets returns the limits of what is sent to the target.
func (p *Push) buckets(t ssh.Target) (list []*bucket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limits == nil {
		p.limits = make(map[string]*bucket)
	}
	add := func(name string, rate int64) {
		if rate <= 0 {
			return
		}
		if p.limits[name] == nil {
			p.limits[name] = newBucket(rate)
		}
		list = append(list, p.limits[name])
	}
	if t.Endpoint != nil {
		for jump := t.Endpoint.Jump; jump != nil && jump.Endpoint != nil; jump = jump.Endpoint.Jump {
			add(jump.Host.String(), p.Options.BandwidthPerJump)
		}
	}
	add("", p.Options.Bandwidth)
	return list
}

// end releases x, which may be nil, when the attempt has ended.
func (x *exchange) end() {
	if x == nil {
		return
	}
	x.cancel()
	x.checks.Wait()
	for _, f := range x.flows {
		f.end()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.watch != nil {
		x.watch.Stop()
	}
	x.push.flying.Add(-x.told)
	x.told, x.over = 0, true
}

// more has Next called.
func (x *exchange) more() {
	x.mu.Lock()
	wake := x.wake
	x.mu.Unlock()
	wake()
}

// errStalled ends an attempt whose far end takes nothing any more.
var errStalled = errors.New("the host has taken none of the files' bytes for too long")

// look is called after each time in which something must have been sent.
func (x *exchange) look() {
	x.mu.Lock()
	if !x.over && x.watch != nil {
		x.stalled = x.offered && !x.moved
		x.moved = false
		x.watch.Reset(x.push.stall())
	}
	stalled, wake := x.stalled, x.wake
	x.mu.Unlock()
	if stalled {
		wake()
	}
}

// Notify implements ssh.Stream.
func (x *exchange) Notify(wake func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.wake = wake
	if limit := x.push.stall(); limit > 0 && !x.over {
		x.watch = time.AfterFunc(limit, x.look)
	}
}

// Next implements ssh.Stream.
func (x *exchange) Next(p []byte, at int64) (n int, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.stalled {
		return 0, errStalled
	}
	if sent := at - x.told; sent > 0 {
		x.push.flying.Add(sent)
		x.told, x.moved = at, true
	}
	for len(x.parts) > 0 && at >= x.at+x.parts[0].size() {
		x.at += x.parts[0].size()
		x.parts = x.parts[1:]
	}
	x.offered = len(x.parts) > 0
	if len(x.parts) == 0 {
		if x.all {
			return 0, io.EOF
		}
		return 0, nil
	}
	if len(p) == 0 {
		return 0, nil
	}
	first, within := x.parts[0], at-x.at
	if first.text != "" {
		return copy(p, first.text[within:]), nil
	}
	p = p[:min(int64(len(p)), first.size()-within)]
	for _, f := range x.flows {
		if p = p[:f.ready(len(p))]; len(p) == 0 {
			x.offered = false
			return 0, nil
		}
	}
	if n, err = x.push.payload.ReadAt(p, first.from+within); n == len(p) {
		err = nil
	}
	for _, f := range x.flows {
		f.spend(n)
	}
	return n, err
}

func (x *exchange) send(p part, all bool) {
	x.mu.Lock()
	if n := len(x.parts); n > 0 && p.text == "" && x.parts[n-1].text == "" && x.parts[n-1].to == p.from {
		x.parts[n-1].to = p.to
	} else if p.size() > 0 {
		x.parts = append(x.parts, p)
	}
	x.all = x.all || all
	wake := x.wake
	x.mu.Unlock()
	wake()
}

// Write implements io.Writer.
func (x *exchange) Write(p []byte) (int, error) {
	n := len(p)
	for !x.last && len(p) > 0 {
		if x.old != nil {
			p = x.takeOld(p)
			continue
		}
		if p = x.line.take(p); !x.line.whole {
			break
		}
		if x.last = !x.said(strings.Fields(string(x.line.held))); !x.last {
			x.line = newAnswer(x.nonce)
		}
	}
	return n, nil
}

// takeOld adds what comes of a file, and returns what is behind it once that is whole: the line
// that follows.
func (x *exchange) takeOld(p []byte) []byte {
	x.old = append(x.old, p...)
	end := "\n" + string(x.line.mark)
	at := bytes.Index(x.old, []byte(end))
	if at < 0 {
		if len(x.old) > maxDiff+1+len(end) {
			x.last, x.old = true, nil // not what was asked for
		}
		return nil
	}
	rest := bytes.Clone(x.old[at+1:])
	x.tellDiff(x.oldFor, x.old[:at])
	x.old = nil
	return rest
}

// said handles a line, and reports whether it is part of the question; if not, it is the last.
func (x *exchange) said(f []string) bool {
	switch {
	case len(f) == 1 && f[0] == "asked" && !x.push.Options.dry():
		x.send(part{}, true)
		return true
	case len(f) < 2:
		return false
	}
	k, err := strconv.Atoi(f[1])
	if err != nil || k < x.entry || k < 1 || k > len(x.push.Entries) {
		return false
	}
	e, again := &x.push.Entries[k-1], k == x.entry
	dry := x.push.Options.dry()
	switch {
	case f[0] == "want" && !dry && !again && e.Kind == File:
		x.entry = k
		x.send(part{from: e.at + x.has(e), to: e.at + e.Size}, false)
		return true
	case f[0] == "part" && !dry && x.entry == 0 && !x.parted && e.Kind == File && len(f) == 4:
		mib, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			return false
		}
		x.parted = true
		x.checks.Go(func() { x.answer(e, mib, f[3]) })
		return true
	case dry && !again && (f[0] == "new" || f[0] == "changed" || f[0] == "same"):
		x.entry = k
		x.tellState(e, f)
		return true
	case dry && again && f[0] == "old" && e.Kind == File && x.push.Options.Diff:
		x.old, x.oldFor = make([]byte, 0, 4096), e
		return true
	}
	return false
}

// answer says whether what is there of a file is right.
func (x *exchange) answer(e *Entry, mib int64, sum string) {
	if !x.push.prefix(x.ctx, e, mib, sum) {
		x.send(part{text: "n"}, false)
		return
	}
	x.mu.Lock()
	x.there, x.skip = e, mib<<20
	x.mu.Unlock()
	x.send(part{text: "y"}, false)
}

// has returns how many bytes of a file are there.
func (x *exchange) has(e *Entry) int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e == x.there {
		return x.skip
	}
	return 0
}

func (x *exchange) tell(format string, args ...any) {
	if x.stdout != nil {
		_, _ = fmt.Fprintf(x.stdout, format, args...) // whoever reads it decides about errors
	}
}

// name is that of an entry at the far end.
func (x *exchange) name(e *Entry) string {
	if x.push.Only {
		return x.dest
	}
	return path.Join(x.dest, e.Name)
}

// tellState says what a dry run has found.
func (x *exchange) tellState(e *Entry, f []string) {
	mode := x.push.Options.Mode
	switch {
	case f[0] == "new":
		x.tell("new: %s\n", x.name(e))
	case f[0] == "changed":
		x.tell("changed: %s\n", x.name(e))
	case mode != "" && e.Kind == File && len(f) > 2 && octal(f[2]) != octal(mode):
		x.tell("mode %.4s, would be %s: %s\n", f[2], mode, x.name(e))
	}
}

func octal(s string) uint64 {
	n, err := strconv.ParseUint(s, 8, 16)
	if err != nil {
		return math.MaxUint64
	}
	return n
}

// tellDiff shows how a file that is there differs from ours.
func (x *exchange) tellDiff(e *Entry, old []byte) {
	ours := make([]byte, e.Size)
	if _, err := x.push.payload.ReadAt(ours, e.at); err != nil && err != io.EOF { //nolint:errorlint // as io.ReaderAt says
		x.tell("%s: reading it here: %v\n", x.name(e), err)
		return
	}
	switch {
	case len(old) > maxDiff:
		x.tell("%s: what is there is larger than %d bytes, and not compared\n", x.name(e), maxDiff)
	case !isText(old):
		x.tell("%s: what is there is no text\n", x.name(e))
	default:
		text, truncated := textdiff.Unified(x.name(e), old, x.name(e)+" (pushed)", ours)
		x.tell("%s", text)
		if truncated {
			x.tell("%s: no more than %d lines are shown; for all: shoal pull -w %s %s DIR, and diff it with %s\n",
				x.name(e), textdiff.MaxLines, hint.ShellWord(x.host), hint.ShellWord(x.name(e)), hint.ShellWord(e.source))
		}
	}
}

// isText reports whether lines of b can be shown.
func isText(b []byte) bool { return bytes.IndexByte(b, 0) < 0 && utf8.Valid(b) }

// showable reports whether the text of an entry can be compared.
func (p *Push) showable(e *Entry) bool {
	if !p.Options.Diff || e.Size > maxDiff {
		return false
	}
	b := make([]byte, e.Size)
	n, _ := p.payload.ReadAt(b, e.at)
	return n == len(b) && isText(b)
}

var (
	_ ssh.Stream = (*exchange)(nil)
	_ io.Writer  = (*exchange)(nil)
)
