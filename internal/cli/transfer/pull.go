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

// NewPull returns shoal pull.
func NewPull(stdio console.Stdio) *cobra.Command {
	var f run.RunFlags
	var o transfer.PullOptions
	via := newVia()
	maxSize := flags.Size(transfer.DefaultMaxSize)
	links := flags.Choice{Value: "safe", Words: []string{"safe", "none"}}
	cmd := &cobra.Command{
		Use:   "pull [flags] SRC... DIR",
		Short: "Copy files and directories of many hosts here, and verify them",
		Long: `Copy files and directories of many hosts here, each to DIR/HOST/SRC, and tell for
each host whether they are there. Without DIR, --gather shows one file of each host,
equal ones once, and --diff the most frequent one and how the others differ from it.

SRC is a file or a directory on the hosts, or a pattern with *, ? or [...], which the
hosts expand: quote it for the shell here. A relative path is seen from the account's
home. {host}, {user}, {port}, {index} and {attr.NAME} in it are replaced for each
target. HOST is the name as it is written here. A link that SRC names is followed;
one in a directory is made here if it leads to within the directory. Devices, pipes
and sockets in it are left out, and counted.

A host writes nothing outside DIR/HOST. Each file is written apart, verified by size
and SHA-256, and renamed when all of its host has come. It has the mode that it has
there without special bits and without the right of others to write. What a file
that grows has at the beginning is pulled.`,
		Example: `  shoal pull -w web[01-20] /etc/os-release releases
  shoal pull --hostfile hosts /etc/nginx '/var/log/nginx/*.log' web
  shoal pull --hostfile hosts --diff /etc/resolv.conf`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			const example = "shoal pull -w web[1-3] /etc/os-release releases"
			sources, dir := args, ""
			switch {
			case len(args) == 0:
				return hint.New("pull needs files on the hosts, and a directory here after them", example)
			case len(args) > 1:
				sources, dir = args[:len(args)-1], args[len(args)-1]
			case !f.Gathers():
				return hint.New("pull needs a directory here after the files on the hosts", example+"; or --gather or --diff, to show the file")
			}
			if len(args) > 1 && dir == "" {
				return hint.New("DIR is empty", "name a directory here; . is the working directory")
			}
			if err := transfer.CheckSources(sources); err != nil {
				return err
			}
			if maxSize < 1 || o.MaxFiles < 1 {
				return hint.New("--max-size and --max-files are at least 1", "leave them out for the usual limits")
			}
			o.MaxSize, o.NoLinks, o.Via = int64(maxSize), links.Value == "none", transfer.Via(via.Value)
			if dir == "" {
				if o.Times || cmd.Flags().Changed("links") || cmd.Flags().Changed("max-files") {
					return hint.New("--times, --links and --max-files are for files that are stored", "name DIR, or leave them out")
				}
				if kept := f.Kept(); kept > 0 { // what is more would not be shown
					o.MaxSize = min(o.MaxSize, kept)
				}
			}
			p, err := transfer.NewPull(dir, len(sources), o)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, p.Close()) }()
			return f.Copy(cmd.Context(), nil, p, transfer.Sources(sources), "pull "+strings.Join(args, " "), stdio)
		},
	}
	own := flags.NewGroup("Files")
	own.Var(&maxSize, "max-size", "pull no more than this much from a host")
	own.IntVar(&o.MaxFiles, "max-files", transfer.DefaultMaxFiles, "pull no more than `N` files, directories and links from a host")
	own.BoolVar(&o.Times, "times", false, "set the time of modification of files to that at the host")
	own.Var(&links, "links", "symbolic links in directories: `safe` makes those that lead to within the directory, none makes none")
	own.BoolVar(&o.RequireVerified, "require-verified", false, "fail where there is no tool for SHA-256, and by SFTP read each file twice; without it the result has the flag unverified")
	own.Var(&via, "via", viaUsage)
	own.Var((*flags.Seconds)(&o.Stall), "stall-timeout", "give up a host from which no byte comes for this long; a transfer has no other limit (default 5m, and more with --max-size)")
	f.RegisterCopy(cmd, own)
	return cmd
}
