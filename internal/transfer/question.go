package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"shoal/internal/ssh"
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
	if p.Plain {
		return false
	}
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
	step := e.step()
	if step == 0 || n <= 0 || n%step != 0 || n > e.Size>>20 {
		return false
	}
	sums := p.sumsOf(ctx, e)
	return n/step <= int64(len(sums)) && sums[n/step-1] == sum
}

// sumsOf returns those of an entry up to each step; nil if ctx ends before they are computed, which
// takes long for a large file: attempts wait for each other, and nobody else for them.
func (p *Push) sumsOf(ctx context.Context, e *Entry) []string {
	known := func() ([]string, chan struct{}) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.sums == nil {
			p.sums, p.summing = make(map[*Entry][]string), make(chan struct{}, 1)
		}
		return p.sums[e], p.summing
	}
	sums, turn := known()
	if sums != nil {
		return sums
	}
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return nil
	}
	if sums, _ = known(); sums != nil {
		return sums
	}
	step, hash := e.step(), sha256.New()
	for at := int64(0); at+step<<20 <= e.Size; at += step << 20 {
		if _, err := io.Copy(hash, cancellable{ctx, io.NewSectionReader(p.payload, e.at+at, step<<20)}); err != nil {
			return nil
		}
		sums = append(sums, fmt.Sprintf("%x", hash.Sum(nil)))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sums[e] = sums
	return sums
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
	sender
	teller

	nonce  string
	ctx    context.Context // of checking a prefix
	cancel context.CancelFunc
	checks sync.WaitGroup

	line   *answer // the line that is to come; the last one stays
	first  *answer // the first of them
	last   bool
	entry  int    // that was named last
	parted bool   // a part was named
	old    []byte // what comes of a file that is there; nil: nothing is expected
	oldFor *Entry

	mu    sync.Mutex // guards what follows
	there *Entry     // of which the first bytes are there
	skip  int64      // so many
}

// exchange returns the exchange of one attempt at the target.
func (p *Push) exchange(nonce string, t ssh.Target, stdout io.Writer) *exchange {
	x := &exchange{teller: p.teller(t, stdout), nonce: nonce, line: newAnswer(nonce)}
	x.first = x.line
	x.ctx, x.cancel = context.WithCancel(context.Background())
	p.feed(&x.sender, t)
	if p.before != "" {
		x.parts = append(x.parts, part{text: p.before})
	}
	x.all = p.Options.dry()
	if !p.asks() {
		x.parts, x.all = append(x.parts, part{to: p.Size}), true
	}
	return x
}

// end releases x, which may be nil, when the attempt has ended.
func (x *exchange) end() {
	if x == nil {
		return
	}
	x.cancel()
	x.checks.Wait()
	x.sender.end()
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
	case dry && again && f[0] == "old" && x.push.showable(e): // the script asks for no others, which may be large
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

var (
	_ ssh.Stream = (*exchange)(nil)
	_ io.Writer  = (*exchange)(nil)
)
