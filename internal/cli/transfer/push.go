// Package transfer implements shoal push and shoal pull. They share flags and execution with shoal run.
package transfer

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/run"
	"shoal/internal/hint"
	"shoal/internal/transfer"
)

// newVia is the value of --via.
func newVia() flags.Choice {
	return flags.Choice{Words: []string{string(transfer.ViaSh), string(transfer.ViaSFTP), string(transfer.ViaAuto)}}
}

const viaUsage = "copy by sh (one exec), by sftp, for accounts without a shell, or auto: sftp where no sh answers, which is remembered (default: sh)"

// NewPush returns shoal push.
func NewPush(stdio console.Stdio) *cobra.Command {
	var f run.RunFlags
	var o transfer.PushOptions
	via := newVia()
	cmd := &cobra.Command{
		Use:   "push [flags] SRC... DEST",
		Short: "Copy files and directories to many hosts, and verify them there",
		Long: `Copy files and directories to many hosts over SSH and tell for each one whether
they are there.

DEST is a path on the hosts; a relative one is seen from the account's home. If it
is a directory, or a link to one, files go into it under their own names; else an
only file gets that name, and its directory must exist. Several files, and
directories, need a directory. A directory is copied under its own name; with / at
its end, what is in it. Links in it are copied as links. A directory there is never
replaced by a file, nor the reverse. {host}, {user}, {port}, {index} and {attr.NAME}
in DEST are replaced for each target.

Each file is written beside its place, verified by size and SHA-256, given mode and
owner, and renamed: nobody sees a part of it, and a connection that is cut leaves
the old one. A file that is the same already is left alone, and of more than 16 KiB
only what differs is sent. A push may be repeated, and so it is tried again also
where an answer was lost: a large file goes on where it was cut off.`,
		Example: `  shoal push -w web[01-20] motd /etc/motd
  shoal push -g web --backup --mode 0640 app.conf /etc/app/
  shoal push -g web --diff app.conf /etc/app/
  shoal push --hostfile hosts site/ /srv/www/{host}`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) < 2 {
				return hint.New("push needs files, and DEST after them", "shoal push -w web[1-3] motd /etc/motd")
			}
			sources, dest := args[:len(args)-1], args[len(args)-1]
			o.Via = transfer.Via(via.Value)
			if err := errors.Join(transfer.CheckDest(dest), o.Validate()); err != nil {
				return err
			}
			m, err := transfer.Read(cmd.Context(), sources, o.CopyLinks)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, m.Close()) }()
			return f.Copy(cmd.Context(), &transfer.Push{Manifest: m, Options: o}, nil, dest, "push "+strings.Join(args, " "), stdio)
		},
	}
	own := flags.NewGroup("Files")
	own.StringVar(&o.Mode, "mode", "", "give files the mode `MODE`, in octal (default: that of the file there, or of the source without the host's umask)")
	own.StringVar(&o.Owner, "owner", "", "give files to `USER[:GROUP]` (default: that of the file there, or the account)")
	own.BoolVar(&o.Times, "times", false, "set the time of modification to that of the source")
	own.BoolVar(&o.Parents, "parents", false, "make directories that are missing")
	own.BoolVar(&o.NoFollow, "no-follow", false, "replace a symbolic link, not the file that it leads to")
	own.BoolVar(&o.Backup, "backup", false, "keep a file that is replaced as FILE~")
	own.BoolVar(&o.InPlace, "in-place", false, "write into the file, for those that cannot be replaced, as mounted ones; readers may see a part")
	own.BoolVar(&o.RequireVerified, "require-verified", false, "fail where there is no tool for SHA-256; without it the result has the flag unverified")
	own.BoolVar(&o.CopyLinks, "copy-links", false, "copy what the links in a directory lead to, not the links")
	own.StringVar(&o.Checksum, "checksum", "", "ask the hosts which files they lack, and send only those: always or never (default: for more than 16 KiB)")
	own.Lookup("checksum").NoOptDefVal = "always"
	own.BoolVar(&o.DryRun, "dry-run", false, "ask the hosts what would change, and change nothing")
	own.BoolVar(&o.Diff, "diff", false, "the same, and show how files of text would change")
	own.Var((*flags.Size)(&o.Bandwidth), "bandwidth", "send at most this many bytes of files in a second, to all hosts together (default: no limit)")
	own.Var((*flags.Size)(&o.BandwidthPerJump), "bandwidth-per-jump", "the same for the hosts behind each jump host")
	own.Var((*flags.Seconds)(&o.Stall), "stall-timeout", "give up a host that takes no byte for this long; a transfer has no other limit (default 5m)")
	own.Var(&via, "via", viaUsage)
	own.BoolVar(&o.ReplaceUnsafe, "replace-unsafe", false, "delete a file before its place is taken, on SFTP servers that cannot replace it")
	f.RegisterCopy(cmd, own)
	return cmd
}
