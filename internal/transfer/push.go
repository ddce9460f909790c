package transfer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"shoal/internal/hint"
	"shoal/internal/remote"
)

// PushOptions are how a push places its files. The zero value keeps mode and owner of a file
// that is replaced, and gives a new one the mode that it has here, without what the host's
// umask takes away. The JSON is how a journal keeps it.
type PushOptions struct {
	// Mode is up to four octal digits, and Owner a user, or user:group, for every file; ""
	// means the defaults.
	Mode  string `json:"mode,omitempty"`
	Owner string `json:"owner,omitempty"`
	// Times sets the time of modification, in seconds, to that of the source.
	Times bool `json:"times,omitempty"`
	// Parents makes directories that are missing.
	Parents bool `json:"parents,omitempty"`
	// NoFollow replaces a symbolic link instead of the file that it leads to.
	NoFollow bool `json:"no_follow,omitempty"`
	// Backup keeps a file that is replaced, with ~ after its name.
	Backup bool `json:"backup,omitempty"`
	// InPlace writes into the file, whose readers may see it half written, instead of
	// renaming another to it.
	InPlace bool `json:"in_place,omitempty"`
	// RequireVerified fails where no tool for SHA-256 is found.
	RequireVerified bool `json:"require_verified,omitempty"`
	// Checksum says whether the hosts are asked which files they lack before these are sent:
	// "always", "never", or "" for more than 16 KiB.
	Checksum string `json:"checksum,omitempty"`
	// DryRun tells what would change on the hosts and changes nothing; Diff also shows how
	// texts would.
	DryRun bool `json:"dry_run,omitempty"`
	Diff   bool `json:"diff,omitempty"`
	// CopyLinks copies what links in a directory lead to instead of the links.
	CopyLinks bool `json:"copy_links,omitempty"`
	// Via is how files go there.
	Via Via `json:"via,omitempty"`
	// ReplaceUnsafe deletes a file that SFTP cannot replace in one step.
	ReplaceUnsafe bool `json:"replace_unsafe,omitempty"`
	// Bandwidth is how many bytes of files are sent in a second, to all hosts together, and
	// BandwidthPerJump through each jump host; 0 means no limit.
	Bandwidth        int64 `json:"bandwidth,omitempty"`
	BandwidthPerJump int64 `json:"bandwidth_per_jump,omitempty"`
	// Stall is after how long a host that takes no byte is given up; 0 means DefaultStall,
	// negative means never.
	Stall time.Duration `json:"stall,omitempty"`
}

// Validate returns an error for a value that is not valid, or that contradicts another.
func (o PushOptions) Validate() error {
	if o.Mode != "" {
		if n, err := strconv.ParseUint(o.Mode, 8, 16); err != nil || n > 0o7777 || len(o.Mode) > 4 {
			return fmt.Errorf("mode %.20q: want up to four octal digits", o.Mode)
		}
	}
	if !isOwner(o.Owner) {
		return fmt.Errorf("owner %.80q: want USER, USER:GROUP or :GROUP", o.Owner)
	}
	if o.Checksum != "" && o.Checksum != "always" && o.Checksum != "never" {
		return fmt.Errorf("checksum %.20q: want always or never", o.Checksum)
	}
	if err := o.Via.validate(); err != nil {
		return err
	}
	if _, _, numeric := numbers(o.Owner); o.Via == ViaSFTP && o.Owner != "" && !numeric {
		return hint.New("SFTP has no names of users", "--owner UID:GID, as id there shows them, or --via sh")
	}
	if o.ReplaceUnsafe && !o.Via.SFTP() {
		return errors.New("sh always replaces files in one step: --replace-unsafe is for --via sftp")
	}
	if o.InPlace && o.Backup && o.Via.SFTP() {
		return hint.New("SFTP cannot copy a file that is written in place", "--backup without --in-place, or --via sh")
	}
	if o.Bandwidth < 0 || o.BandwidthPerJump < 0 {
		return errors.New("a bandwidth is negative; 0 means no limit")
	}
	if o.dry() && o.Checksum != "" {
		return errors.New("a dry run compares files always: --checksum cannot go with --dry-run and --diff")
	}
	if o.InPlace && o.NoFollow {
		return errors.New("a file that is written in place is where a link leads to: --in-place and --no-follow cannot go together")
	}
	return nil
}

// DefaultStall is the usual PushOptions.Stall.
const DefaultStall = 5 * time.Minute

func (p *Push) stall() time.Duration { return cmp.Or(p.Options.Stall, DefaultStall) }

// Sends reports whether there is something to send, and its progress to be seen.
func (p *Push) Sends() bool { return !p.Options.dry() && p.Size > askFrom }

// Flying returns how many bytes attempts have sent that have not ended.
func (p *Push) Flying() int64 { return p.flying.Load() }

// dry reports whether nothing is changed.
func (o PushOptions) dry() bool { return o.DryRun || o.Diff }

func isOwner(s string) bool {
	for _, c := range []byte(s) {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte("_.:@-", c) < 0 {
			return false
		}
	}
	return !strings.HasPrefix(s, "-") && strings.Count(s, ":") <= 1 && s != ":" && len(s) <= 200
}

// A Push copies a Manifest to the hosts.
type Push struct {
	*Manifest
	Options PushOptions
	// Plain sends everything as standard input, and asks the far end nothing before: for connections
	// that have no stream. Dry runs and SFTP cannot.
	Plain bool
	// Run is the name of the run, which no two processes push at a time: an attempt by SFTP goes
	// on with what an earlier one of the run has left. "" if there are no others.
	Run string

	once   sync.Once // sets the rest
	line   func(argument string) (string, error)
	before string // what is to be sent before the files
	failed error

	mu      sync.Mutex
	limits  map[string]*bucket  // by jump host; "" of the whole run
	flying  atomic.Int64        // bytes that attempts have sent that have not ended
	hashing atomic.Int32        // goroutines that hash what is read back
	sums    map[*Entry][]string // of files up to each step, where they were needed
	summing chan struct{}       // capacity 1: the attempt that computes sums is in it
}

// maxDest is the longest DEST in bytes: PATH_MAX of Linux.
const maxDest = 4096

// CheckDest returns an error for a DEST that cannot be used.
func CheckDest(dest string) error {
	switch {
	case dest == "":
		return hint.New("DEST is empty", "name the file or directory on the hosts; . is the account's home")
	case strings.ContainsRune(dest, 0) || len(dest) > maxDest:
		return errors.New("DEST has a NUL byte or is too long")
	case strings.HasPrefix(dest, "~"):
		return hint.Wrap(fmt.Errorf("DEST %.80q begins with ~, which no shell replaces here", dest), "a relative path is seen from the account's home")
	case hasDrive(dest):
		return hint.Wrap(fmt.Errorf("DEST %.80q begins with a drive, and is no path for ssh", dest), driveHint)
	}
	return nil
}

// driveHint is for a path of which hasDrive is true.
const driveHint = "Windows has /C:/Users/ada by SFTP (--via sftp); a directory that has such a name is ./C:"

// hasDrive reports whether a path begins as one of Windows does.
func hasDrive(path string) bool {
	return len(path) >= 2 && path[1] == ':' && ('a' <= path[0]|0x20 && path[0]|0x20 <= 'z') && (len(path) == 2 || path[2] == '/' || path[2] == '\\')
}

// maxArgument is more than the longest nonce and DEST have in bytes when encoded.
const maxArgument = 5*maxDest + 100

// request returns the command line for the far end, and what is to be sent before the files. All
// hosts get the same script.
func (p *Push) request(dest, nonce string) (line, before string, err error) {
	p.once.Do(func() {
		if p.failed = p.Options.Validate(); p.failed != nil {
			return
		}
		list := p.list()
		script := p.script(strings.Replace(listScript, "LIST", list, 1))
		if len(script)+maxArgument > remote.MaxLine {
			script, p.before = p.script(strings.ReplaceAll(readListScript, "SIZE", strconv.Itoa(len(list)))), list
		}
		p.line = remote.Lines(script)
	})
	if err := cmp.Or(p.failed, CheckDest(dest)); err != nil {
		return "", "", err
	}
	if dest[0] != '/' {
		dest = "./" + dest
	}
	if text := remote.Octal(dest); text != dest {
		dest = "=" + text
	}
	line, err = p.line(nonce + " " + dest)
	return line, p.before, err
}

func (p *Push) script(list string) string {
	o := p.Options
	either := func(condition bool, yes, no string) string {
		if condition {
			return yes
		}
		return no
	}
	var b strings.Builder
	b.WriteString(headScript)
	b.WriteString(either(p.Only, takeLastScript, takeScript) + "\n")
	take, sum := `take "$_t/$_n" $_B $_R`, `sum "$_t/$_n";`
	if p.has(alongFrom) && !o.dry() {
		b.WriteString(alongScript)
		take, sum = takeAlong, `[ "$_h" = $_D ] || `+sum
	}
	if o.Parents {
		b.WriteString(parentsScript + "\n")
	}
	place := either(p.Only, oneFileScript, directoryScript)
	parents := either(o.Parents, makeParents, noParents)
	if o.Parents && o.dry() {
		parents = "true"
	}
	place = strings.ReplaceAll(place, "PARENTS", parents)
	if p.Only { // at last: no part of the name is replaced
		place = strings.Replace(place, "BASE", remote.Octal(p.Entries[0].Name), 1)
	}
	b.WriteString(place)
	renames := !o.InPlace && !o.dry()
	b.WriteString(either(renames, apartScript, ""))
	b.WriteString(strings.NewReplacer("FOLLOW", either(o.NoFollow, "", "follow;"), "APART", either(renames, "apart && no no_atomic_replace;", "")).Replace(entryScript))
	b.WriteString(list)
	if o.dry() {
		b.WriteString(strings.Replace(dryScript, "OLD", either(o.Diff, strings.Replace(oldScript, "MAX", strconv.Itoa(maxDiff+1), 1), ""), 1))
		return b.String()
	}
	try, resume, release := "", "", ""
	if p.goesOn() {
		if release = releaseScript; p.asks() {
			b.WriteString(partScript)
			try, resume = tryPart, resumePart
		}
	}
	if p.asks() {
		b.WriteString(strings.Replace(questionScript, "PART", try, 1))
	}
	b.WriteString(strings.NewReplacer(
		"OWNER", o.Owner, "MODE", o.Mode, "TIMES", either(o.Times, touchScript, ""),
		"HAVE", either(p.asks(), haveAsked, "same"),
		"SKIP", either(p.Only || p.asks(), "", skipScript),
		"REQUIRE", either(o.RequireVerified, "no unverified;", ""),
		"TAKE", take, "SUM", sum,
		"RESUME", resume, "RELEASE", release,
		"BACKUPLINK", either(o.Backup, backupLinkScript, ":;"),
		"BACKUP", either(o.Backup, either(o.InPlace, backupAgainScript, "")+backupScript, ""),
		"REPLACE", strings.NewReplacer("MODE", o.Mode, "LABEL", labelScript).Replace(either(o.InPlace, inPlaceScript, renameScript)),
	).Replace(fileScript))
	if !p.Only {
		b.WriteString(treeScript)
	}
	b.WriteString("list;\n")
	b.WriteString(strangersScript)
	return b.String()
}

// alongFrom is the size in bytes from which on a file is read back while it comes.
const alongFrom = 64 << 20

// has reports whether there is a file of a size or more.
func (p *Push) has(size int64) bool {
	return slices.ContainsFunc(p.Entries, func(e Entry) bool { return e.Kind == File && e.Size >= size })
}

// list returns the entries as calls of the script's functions, on one line.
func (p *Push) list() string {
	var b strings.Builder
	for i, e := range p.Entries {
		if p.Only {
			b.WriteString("_p=$_d; ")
		} else if text := remote.Octal(e.Name); text != e.Name {
			fmt.Fprintf(&b, `name "%s"; _p=$_d/$_z; `, text)
		} else {
			fmt.Fprintf(&b, `_p="$_d/%s"; `, text)
		}
		switch e.Kind {
		case File:
			fmt.Fprintf(&b, "f %d %d %s %d %s %.16s %d %d %d", i+1, e.Size, e.Digest, e.Mode&fs.ModePerm, e.Time.UTC().Format("200601021504.05"), e.Digest, e.Size>>10+1, e.Size>>16, e.Size&(1<<16-1))
			if p.showable(&p.Entries[i]) {
				b.WriteString(" t")
			}
			b.WriteString("; ")
		case Directory:
			fmt.Fprintf(&b, "d %d; ", i+1)
		case Link:
			fmt.Fprintf(&b, "l %d \"%s\"; ", i+1, remote.Octal(e.Target))
		}
	}
	return b.String()
}

// A Recorded is what a journal keeps of a push.
type Recorded struct {
	Sources []string    `json:"sources"`
	Digest  string      `json:"digest"`
	Size    int64       `json:"size"`
	Options PushOptions `json:"options"`
}

// Recorded returns p as a journal keeps it.
func (p *Push) Recorded() string {
	text, err := json.Marshal(Recorded{p.Sources, p.Digest, p.Size, p.Options})
	if err != nil {
		panic("transfer: " + err.Error()) // strings, numbers and booleans always have JSON
	}
	return string(text)
}

// ParseRecorded is the inverse of Push.Recorded. An option that is not known here would be lost, so
// that it is an error.
func ParseRecorded(text string) (r Recorded, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err = d.Decode(&r); err != nil {
		return r, fmt.Errorf("reading what was pushed: %w", err)
	}
	return r, r.Options.Validate()
}
