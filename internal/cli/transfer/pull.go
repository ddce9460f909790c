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
	var maxSize int64
	cmd := &cobra.Command{
		Use:   "pull [flags] SRC DIR",
		Short: "Copy a file of many hosts here, and verify it",
		Long: `Copy a file of many hosts here, each to DIR/HOST/SRC, and tell for each host
whether it is there.

SRC is a regular file on the hosts; a relative path is seen from the account's home.
{host}, {user}, {port}, {index} and {attr.NAME} in it are replaced for each target.
HOST is the name as it is written here: no host names a file here, or leads out of
DIR. A file is written beside its place, verified by size and SHA-256, and renamed.
It has the mode that it has there without special bits and without the right of
others to write. What a file that grows has at the beginning is pulled.`,
		Example: `  shoal pull -w web[01-20] /etc/os-release releases
  shoal pull --hostfile hosts --max-size 1000000 /var/log/app.log logs`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) != 2 {
				return hint.New("pull needs a file on the hosts, and a directory here", "shoal pull -w web[1-3] /etc/os-release releases")
			}
			if err := transfer.CheckDest(args[0]); err != nil {
				return err
			}
			p, err := transfer.NewPull(args[1], maxSize)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, p.Close()) }()
			return f.Copy(cmd.Context(), nil, p, args[0], "pull "+strings.Join(args, " "), stdio)
		},
	}
	own := flags.NewGroup("Files")
	own.Int64Var(&maxSize, "max-size", transfer.DefaultMaxSize, "pull no file of more than `N` bytes")
	f.RegisterCopy(cmd, own)
	return cmd
}
