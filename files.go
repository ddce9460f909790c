package shoal

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"shoal/internal/engine"
	"shoal/internal/placeholder"
	"shoal/internal/run"
	"shoal/internal/transfer"
)

// Script runs a local file on every target, as [Run] runs a command: it is sent, verified there
// before anything of it starts, run by the program that its line #! names, else by /bin/sh, and
// removed. It may have 64 MiB. Each of args is one argument, byte for byte: placeholders are not
// replaced. The Journal keeps path and SHA-256; [Journal.Resume] and [Journal.Rerun] read the file
// again, and it is an error if it has changed.
func Script(ctx context.Context, targets iter.Seq[Target], path string, args []string, o Options) iter.Seq2[Result, error] {
	return o.run(ctx, targets, func(context.Context) (*job, error) {
		script, err := run.ReadScript(path)
		if err != nil {
			return nil, err
		}
		text := script.Words(args)
		return &job{text: text, title: "script " + text, where: placeholder.Never, remote: run.Remote{Script: script}}, nil
	})
}

// PushOptions say how [Push] places files. The zero value keeps mode and owner of a file that is
// replaced, and gives a new one the mode of its source, less the host's umask.
type PushOptions struct {
	// Mode is up to four octal digits for every file; "" means the default.
	Mode string
	// Owner is a user, or user:group, for every file; "" means the default.
	Owner string
	// Times sets the time of modification to that of the source.
	Times bool
	// Parents makes directories that are missing.
	Parents bool
	// NoFollow replaces a symbolic link, and not the file that it leads to.
	NoFollow bool
	// CopyLinks copies what links in a directory lead to, and not the links.
	CopyLinks bool
	// Backup keeps a file that is replaced, with ~ behind its name.
	Backup bool
	// InPlace writes into the file, whose readers may see a part of it, for those that cannot
	// be replaced, as mounted ones.
	InPlace bool
	// RequireVerified fails where there is no tool for SHA-256. Otherwise the result there has
	// fleet.FlagUnverified.
	RequireVerified bool
	// Checksum says whether hosts are asked which files they lack before these are sent:
	// "always", "never", or "" for more than 16 KiB.
	Checksum string
	// DryRun changes nothing and tells what would change; Diff does too, and shows how texts
	// would.
	DryRun, Diff bool
	// Via is "sh", "sftp", or "auto": the one where the other does not work. "" means sh, and
	// only that goes with Remote.Become.
	Via string
	// ReplaceUnsafe deletes a file before its place is taken, on SFTP servers that cannot
	// replace it.
	ReplaceUnsafe bool
	// Bandwidth is the most bytes of files that are sent in a second, to all hosts together, and
	// BandwidthPerJump through each jump host. 0 means no limit.
	Bandwidth, BandwidthPerJump int64
	// Stall is after how long a host that takes no byte is given up. 0 means 5 min; negative
	// means never.
	Stall time.Duration
}

// Push copies local files and directories to every target. dest is a path there, whose
// placeholders are replaced as in [Run]: if it is a directory, or a link to one, files go into it
// under their own names, else an only file gets that name. Each file is written beside its place,
// verified by size and SHA-256, and renamed, so that nobody sees a part of it. The standard output
// of a result says what was done. A push does no harm twice, and is tried again also where it is
// unknown whether it was done. Of o.Remote it has Become only, and no Stdin.
func Push(ctx context.Context, targets iter.Seq[Target], sources []string, dest string, p PushOptions, o Options) iter.Seq2[Result, error] {
	return o.run(ctx, targets, func(ctx context.Context) (*job, error) {
		options := transfer.PushOptions{
			Mode: p.Mode, Owner: p.Owner, Times: p.Times, Parents: p.Parents, NoFollow: p.NoFollow, CopyLinks: p.CopyLinks,
			Backup: p.Backup, InPlace: p.InPlace, RequireVerified: p.RequireVerified, Checksum: p.Checksum, DryRun: p.DryRun, Diff: p.Diff,
			Via: transfer.Via(p.Via), ReplaceUnsafe: p.ReplaceUnsafe, Bandwidth: p.Bandwidth, BandwidthPerJump: p.BandwidthPerJump, Stall: p.Stall,
		}
		if err := errors.Join(o.copies(), transfer.CheckDest(dest), options.Validate()); err != nil {
			return nil, err
		}
		m, err := transfer.Read(ctx, sources, p.CopyLinks)
		if err != nil {
			return nil, err
		}
		return &job{
			text: dest, title: "push " + strings.Join(sources, " ") + " " + dest, where: placeholder.Everywhere,
			remote: run.Remote{Push: &transfer.Push{Manifest: m, Options: options}}, close: m.Close,
		}, nil
	})
}

// PullOptions are the limits of [Pull] for each host, and how it places files.
type PullOptions struct {
	// MaxSize limits the bytes from each host. 0 means 1 GiB; a file that is not stored is limited by
	// Limits.MaxOutput too.
	MaxSize int64
	// MaxFiles limits the files, directories and links from each host. 0 means 10,000.
	MaxFiles int
	// Times sets the time of modification of files to that at the host.
	Times bool
	// NoLinks leaves out symbolic links. Otherwise those are made that lead to within what was
	// asked for.
	NoLinks bool
	// RequireVerified is as in [PushOptions]. By SFTP each file is read twice then.
	RequireVerified bool
	// Via is as in [PushOptions].
	Via string
	// Stall is after how long a host from which no byte comes is given up. 0 means 5 min, and
	// the time to read MaxSize from a slow disk; negative means never.
	Stall time.Duration
}

// Pull copies files and directories of every target to dir/HOST/source, where HOST is the name in
// the list. sources are paths there, or patterns with *, ? and [...]; placeholders are replaced as
// in [Run]. With dir "" it is one file, which is the standard output of its result. Files are
// verified by size and SHA-256, and get their names here when all of their host have come; no host
// writes elsewhere. Of o.Remote it has Become only, and no Stdin.
func Pull(ctx context.Context, targets iter.Seq[Target], sources []string, dir string, p PullOptions, o Options) iter.Seq2[Result, error] {
	return o.run(ctx, targets, func(context.Context) (*job, error) {
		if err := errors.Join(o.copies(), transfer.CheckSources(sources)); err != nil {
			return nil, err
		}
		if kept := cmp.Or(o.Limits.MaxOutput, engine.DefaultMaxOutput); dir == "" && kept > 0 { // it is held in memory
			p.MaxSize = min(cmp.Or(p.MaxSize, transfer.DefaultMaxSize), kept)
		}
		pull, err := transfer.NewPull(dir, len(sources), transfer.PullOptions{
			MaxSize: p.MaxSize, MaxFiles: p.MaxFiles, Times: p.Times, NoLinks: p.NoLinks, RequireVerified: p.RequireVerified,
			Via: transfer.Via(p.Via), Stall: p.Stall,
		})
		if err != nil {
			return nil, err
		}
		return &job{
			text: transfer.Sources(sources), title: "pull " + strings.Join(sources, " ") + " " + dir, where: placeholder.Everywhere,
			remote: run.Remote{Pull: pull}, close: pull.Close,
		}, nil
	})
}

// copies returns an error for options that copying files does not have.
func (o Options) copies() error {
	if o.Stdin != nil || o.Terminal != nil || o.Remote.remote().Wraps() {
		return errors.New("files are copied: Stdin, Terminal, and Remote but for Become, are for commands")
	}
	return nil
}

// A job is what a run does on each target.
type job struct {
	text   string // with placeholders
	title  string // for people; the journal keeps it
	where  placeholder.Where
	remote run.Remote   // its Script, Push and Pull
	close  func() error // nil: nothing is open
}

// add sets what of r is the job's.
func (j *job) add(r *run.Remote) {
	r.Script, r.Push, r.Pull = j.remote.Script, j.remote.Push, j.remote.Pull
}
