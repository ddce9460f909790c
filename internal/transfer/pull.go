package transfer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/remote"
	"shoal/internal/ssh"
)

// A Pull copies a file of each host to Dir/HOST/path. The host's name is that of the target,
// and the path the one that was asked for: a host names nothing here.
type Pull struct {
	// Dir is an absolute path, made if it is missing.
	Dir string `json:"dir"`
	// MaxSize is the largest size of a file in bytes.
	MaxSize int64 `json:"max_size"`

	root *os.Root // nil: not open
	mu   sync.Mutex
	used map[string]int // index of the target of each name, in lower case
}

// DefaultMaxSize is the usual Pull.MaxSize.
const DefaultMaxSize = 1 << 30

// NewPull returns a Pull into a directory, which Open makes.
func NewPull(dir string, maxSize int64) (*Pull, error) {
	if maxSize <= 0 {
		return nil, fmt.Errorf("maximum size %d: want at least one byte", maxSize)
	}
	full, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for the directory for what is pulled: %w", err)
	}
	return &Pull{Dir: full, MaxSize: maxSize, used: make(map[string]int)}, nil
}

// Open makes and opens the directory, if it is not open. It must be called before a Dialer of p
// is used.
func (p *Pull) Open() (err error) {
	if p.root != nil {
		return nil
	}
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return fmt.Errorf("making the directory for what is pulled: %w", err)
	}
	if p.root, err = os.OpenRoot(p.Dir); err != nil {
		return fmt.Errorf("opening the directory for what is pulled: %w", err)
	}
	return nil
}

// Close closes the directory.
func (p *Pull) Close() error {
	if p.root == nil {
		return nil
	}
	return p.root.Close()
}

// Recorded returns p as a journal keeps it.
func (p *Pull) Recorded() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic("transfer: " + err.Error()) // strings and numbers always have JSON
	}
	return string(text)
}

// ReopenPull opens what Pull.Recorded has kept.
func ReopenPull(text string) (*Pull, error) {
	var p Pull
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return nil, fmt.Errorf("reading what was pulled: %w", err)
	}
	return NewPull(p.Dir, p.MaxSize)
}

// place returns where below Dir the target's file goes. A second target whose name is the same,
// but for its case, has its index after it.
func (p *Pull) place(t fleet.Target) (string, error) {
	var b strings.Builder
	for i, c := range []byte(t.Host.String()) {
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("_-:@[]", c) >= 0 || c == '.' && i > 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	name := b.String()
	p.mu.Lock()
	if first, ok := p.used[strings.ToLower(name)]; !ok {
		p.used[strings.ToLower(name)] = t.Index
	} else if first != t.Index {
		name += "%" + strconv.Itoa(t.Index)
	}
	p.mu.Unlock()
	below := strings.TrimPrefix(path.Clean("/"+t.Command), "/")
	if below == "" || !filepath.IsLocal(below) {
		return "", fmt.Errorf("pulling %.200q: it is no name of a file", t.Command)
	}
	return filepath.Join(name, filepath.FromSlash(below)), nil
}

// pullScript sends the bytes that the file has at the beginning, with their number, the mode
// and the SHA-256 before them: a file that only grows meanwhile is whole up to there.
const pullScript = `
exec 3>&1 1>&2;
say() { echo "shoal/1 $_n $*" >&3; };
no() { say no "$1" 0; exit 1; };
[ -d "$_d" ] && no is_directory;
[ -e "$_d" ] || no no_file;
[ -f "$_d" ] || no not_regular;
[ -r "$_d" ] || no permission_denied;
_x=$(wc -c <"$_d") || no read_failed;
_x=$(($_x));
[ $_x -le MAX ] || no too_large;
_h=$(head -c $_x "$_d" | { sha256sum || shasum -a 256 || sha256 -q || openssl dgst -sha256 -r; } 2>/dev/null);
_m=$(stat -c %a "$_d" 2>/dev/null || stat -f %Lp "$_d" 2>/dev/null || echo 600);
say file $_x $_m "${_h%% *}";
head -c $_x "$_d" >&3 || no read_failed;
say end;
exit 0
`

// A puller receives the file of one attempt, as its standard output.
type puller struct {
	pull    *Pull
	attempt ssh.Attempt
	stdout  io.Writer
	place   string
	first   *answer // the line before the file
	last    *answer // the line after it

	started bool // first announces a file that we take; what follows is of it
	size    int64
	mode    fs.FileMode
	digest  string   // "" if the host has no tool for it
	file    *os.File // the temporary; nil before and after
	temp    string
	got     int64
	sum     hash.Hash
	failed  error // of this machine
}

// Write implements io.Writer. Bytes that are not part of the protocol are dropped.
func (r *puller) Write(p []byte) (int, error) {
	n := len(p)
	if !r.started {
		p = r.first.take(p)
		if !r.begin() {
			return n, nil
		}
	}
	part := p[:min(int64(len(p)), r.size-r.got)]
	r.got += int64(len(part))
	r.sum.Write(part)
	if r.failed == nil {
		_, r.failed = r.file.Write(part)
	}
	r.last.take(p[len(part):])
	return n, nil
}

// begin reports whether the first line has come and announces a file, and makes a file for it.
func (r *puller) begin() bool {
	f := strings.Fields(string(r.first.held))
	if !r.first.whole || len(f) < 3 || len(f) > 4 || f[0] != "file" {
		return false
	}
	size, err := strconv.ParseInt(f[1], 10, 64)
	mode, err2 := strconv.ParseUint(f[2], 8, 16)
	if err != nil || err2 != nil || size < 0 || size > r.pull.MaxSize {
		return false
	}
	r.started, r.size, r.mode, r.sum = true, size, fs.FileMode(mode)&0o755, sha256.New()
	if len(f) == 4 {
		r.digest = f[3]
	}
	r.failed = r.create()
	return true
}

func (r *puller) create() (err error) {
	if err := r.pull.root.MkdirAll(filepath.Dir(r.place), 0o700); err != nil {
		return err
	}
	r.temp = filepath.Join(filepath.Dir(r.place), ".shoal-pull."+rand.Text())
	r.file, err = r.pull.root.OpenFile(r.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	return err
}

// close ends the file: under its name if keep is set, else not at all.
func (r *puller) close(keep bool) error {
	if r.file == nil {
		return r.failed
	}
	err := r.failed
	if err == nil && keep {
		err = r.file.Chmod(r.mode | 0o400)
	}
	err = errors.Join(err, r.file.Close())
	r.file = nil
	if err == nil && keep {
		err = r.pull.root.Rename(r.temp, r.place)
		keep = err == nil
	} else {
		keep = false
	}
	if !keep {
		err = errors.Join(err, r.pull.root.Remove(r.temp))
	}
	return err
}

// NewPullDialer returns a Dialer whose connections pull the file that is the target's command.
func NewPullDialer(inner ssh.Dialer, p *Pull) ssh.Dialer { return &pullDialer{inner, p} }

type pullDialer struct {
	inner ssh.Dialer
	pull  *Pull
}

// Dial implements ssh.Dialer.
func (d *pullDialer) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	nonce, src := remote.NewNonce(), a.Target.Command
	place, err := d.pull.place(a.Target.Target)
	if err == nil {
		err = CheckDest(src)
	}
	line := ""
	if err == nil {
		if src[0] != '/' {
			src = "./" + src
		}
		line, err = remote.Line(fmt.Sprintf("_n=%s;\n_d=$(printf %%b \"%s.\");\n_d=${_d%%.};\n", nonce, remote.Octal(src)) +
			strings.Replace(pullScript, "MAX", strconv.FormatInt(d.pull.MaxSize, 10), 1))
	}
	if err != nil {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, err)
	}
	r := &puller{pull: d.pull, attempt: *a, stdout: a.Stdout, place: place, first: newAnswer(nonce), last: newAnswer(nonce)}
	r.attempt.Line, r.attempt.Stdout, r.attempt.Input = line, r, nil
	return dial(ctx, d.inner, &r.attempt, r.judge)
}

// judge converts the end of the script to the end of the pull.
func (r *puller) judge(end fleet.End) fleet.End {
	whole := r.started && r.got == r.size && r.last.whole && strings.TrimSpace(string(r.last.held)) == "end"
	same := whole && (r.digest == "" || r.digest == fmt.Sprintf("%x", r.sum.Sum(nil)))
	err := r.close(same && end.Outcome == fleet.OutcomeOK)
	fail := func(reason fleet.Reason, err error) fleet.End {
		end.Outcome, end.Reason, end.Err = fleet.OutcomeFailed, reason, err
		return end
	}
	switch {
	case !end.Outcome.Ran() || end.Outcome == fleet.OutcomeSignalled:
		return end
	case err != nil:
		return fail(fleet.ReasonStoreFailed, fmt.Errorf("storing what was pulled: %w", err))
	case same && end.Outcome == fleet.OutcomeOK:
		if r.digest == "" {
			end.Flags |= fleet.FlagUnverified
		}
		if r.stdout != nil {
			_, _ = fmt.Fprintf(r.stdout, "%s: %d bytes\n", filepath.Join(r.pull.Dir, r.place), r.size) // whoever reads it decides about errors
		}
		return end
	case r.started:
		return fail(fleet.ReasonChangedWhileRead, hint.New(fmt.Sprintf("pulling %.200q: it was not read as it was at the beginning (%d of %d bytes)", r.attempt.Target.Command, r.got, r.size), "try again when nobody writes to it"))
	}
	if v, ok := r.first.parse(0); ok && !v.done {
		return fail(v.failure(fmt.Sprintf("pulling %.200q", r.attempt.Target.Command)))
	}
	return fail(fleet.ReasonNoReceipt, hint.New(fmt.Sprintf("the host did not answer to the pull (exit status %d)", end.Status), noAnswerHint))
}
