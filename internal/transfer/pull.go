package transfer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/remote"
	"shoal/internal/ssh"
)

// A Pull copies files of each host to Dir/HOST/path, or shows one. The host's name is that of
// the target. The JSON is how a journal keeps it.
type Pull struct {
	// Dir is an absolute path, made if it is missing; "" shows one file of each host as the
	// standard output of its target.
	Dir string `json:"dir"`
	// Paths is the number of paths that each target asks for; see Sources.
	Paths int `json:"paths,omitempty"`
	PullOptions
	// Queued means that attempts wait elsewhere before they begin: a host is given up that is silent after
	// its first byte.
	Queued bool `json:"-"`

	store *store // nil: not open, or none
	mu    sync.Mutex
	used  map[string]int // index of the target of each name, in lower case
}

// PullOptions are the limits of a pull for each host, and how it places files.
type PullOptions struct {
	// MaxSize is the largest number of bytes, and MaxFiles that of files, directories,
	// links and others; 0 means DefaultMaxSize and DefaultMaxFiles.
	MaxSize  int64 `json:"max_size"`
	MaxFiles int   `json:"max_files,omitempty"`
	// Times sets the time of modification of files, in seconds, to that at the host.
	Times bool `json:"times,omitempty"`
	// NoLinks leaves out symbolic links. Without it those are made that lead to within what
	// was asked for.
	NoLinks bool `json:"no_links,omitempty"`
	// RequireVerified fails where no tool for SHA-256 is found. By SFTP, which has none, each
	// file is read twice.
	RequireVerified bool `json:"require_verified,omitempty"`
	// Via is how files come.
	Via Via `json:"via,omitempty"`
	// Stall is after how long a host from which no byte comes is given up; 0 means DefaultStall
	// and the time to read MaxSize from a slow disk, negative means never.
	Stall time.Duration `json:"stall,omitempty"`
}

// The limits of a pull.
const (
	DefaultMaxSize  = 1 << 30
	DefaultMaxFiles = 10_000

	// LargestMaxSize is the largest PullOptions.MaxSize: the far end compares sizes of up to 12
	// digits.
	LargestMaxSize = 999_999_999_999
	// LargestMaxFiles is the largest PullOptions.MaxFiles.
	LargestMaxFiles = 10_000_000
)

// Validate returns an error for a value that is out of range.
func (o PullOptions) Validate() error {
	switch {
	case o.MaxSize < 0 || o.MaxSize > LargestMaxSize:
		return fmt.Errorf("maximum size %d: want 1 to %d bytes", o.MaxSize, int64(LargestMaxSize))
	case o.MaxFiles < 0 || o.MaxFiles > LargestMaxFiles:
		return fmt.Errorf("%d files at most: want 1 to %d", o.MaxFiles, LargestMaxFiles)
	}
	return o.Via.validate()
}

// slowDisk is how many bytes a host reads in a second at least. While it computes a digest,
// nothing comes from it.
const slowDisk = 20 << 20

func (o PullOptions) stall() time.Duration {
	return cmp.Or(o.Stall, DefaultStall+time.Duration(o.MaxSize/slowDisk)*time.Second)
}

// NewPull returns a Pull of so many paths into a directory, which Open makes; "" shows one file.
func NewPull(dir string, paths int, o PullOptions) (*Pull, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.MaxSize == 0 {
		o.MaxSize = DefaultMaxSize
	}
	if o.MaxFiles == 0 {
		o.MaxFiles = DefaultMaxFiles
	}
	if dir == "" {
		if paths != 1 {
			return nil, errors.New("files are shown one of each host at a time")
		}
		o.MaxFiles = 1
		return &Pull{Paths: 1, PullOptions: o}, nil
	}
	full, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for the directory for what is pulled: %w", err)
	}
	return &Pull{Dir: full, Paths: paths, PullOptions: o, used: make(map[string]int)}, nil
}

// Open makes and opens the directory, if there is one and it is not open. It must be called
// before a Dialer of p is used.
func (p *Pull) Open() (err error) {
	if p.store != nil || p.Dir == "" {
		return nil
	}
	if p.store, err = openStore(p.Dir); err != nil {
		return fmt.Errorf("opening the directory for what is pulled: %w", err)
	}
	return nil
}

// Close closes the directory. It must not be called before every attempt has ended.
func (p *Pull) Close() error {
	if p.store == nil {
		return nil
	}
	return p.store.close()
}

// Recorded returns p as a journal keeps it.
func (p *Pull) Recorded() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic("transfer: " + err.Error()) // strings, numbers and booleans always have JSON
	}
	return string(text)
}

// ReopenPull returns what Pull.Recorded has kept.
func ReopenPull(text string) (*Pull, error) {
	p := Pull{Paths: 1}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return nil, fmt.Errorf("reading what was pulled: %w", err)
	}
	return NewPull(p.Dir, p.Paths, p.PullOptions)
}

// host returns the name of the directory for the target below Dir. A second target whose name
// is the same, but for its case, has its index after it.
func (p *Pull) host(t fleet.Target) string {
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
	defer p.mu.Unlock()
	if first, ok := p.used[strings.ToLower(name)]; !ok {
		p.used[strings.ToLower(name)] = t.Index
	} else if first != t.Index {
		name += "%" + strconv.Itoa(t.Index)
	}
	return name
}

// begin returns the job of one attempt to pull.
func (p *Pull) begin(a *ssh.Attempt, nonce string, sftp bool) (job, error) {
	sources, err := parseSources(a.Target.Command, p.Paths)
	if err != nil {
		return nil, err
	}
	if sftp {
		return newSFTPPull(p, a, sources), nil
	}
	line, err := p.line(sources)
	if err != nil {
		return nil, err
	}
	r := newPuller(p, a, sources, nonce)
	r.runs.Line, r.runs.Stdout, r.runs.Input = line, r, strings.NewReader(nonce+"\n")
	return r, nil
}

// line returns the command line for the far end.
func (p *Pull) line(sources []source) (string, error) {
	line, err := remote.Line(p.script(sources))
	if err != nil {
		err = hint.Wrap(fmt.Errorf("pulling %d paths: %w", len(sources), err), "pull the directories that they are in")
	}
	return line, err
}
