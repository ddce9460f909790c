package console

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Execute runs a program's command line and returns the exit code of the
// process. badFlag is the hint for flags before the name of a command.
func Execute(ctx context.Context, root *cobra.Command, badFlag string, args []string, stdio Stdio) int {
	// When the reader of our output exits, such as head(1), writing must return
	// an error instead of ending this process: the remaining results still
	// count.
	signal.Ignore(syscall.SIGPIPE)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Version = VersionText()
	root.Flags().Bool("version", false, "print the version") // -v means --verbose
	root.SetVersionTemplate(root.Name() + " {{.Version}}\n")
	root.SetIn(stdio.In)
	root.SetOut(stdio.Out)
	root.SetErr(stdio.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// A flag of a command whose name is mistyped is not known, and the name is what is wrong.
		if _, rest, _ := root.Find(args); cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
			return UnknownCommand(cmd, rest[0], cmd.CommandPath()+" --help lists the commands")
		}
		return flagError(cmd, cmd == root, err, badFlag)
	})
	checkOperands(root)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if code, ok := errors.AsType[ExitError](err); ok {
		return int(code)
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok && path.Path == os.Stdout.Name() && errors.Is(err, syscall.EPIPE) {
		return ExitUsage // nobody reads our output, such as a list | head: there is nothing to tell
	}
	if err != nil {
		Complain(stdio.Err, err)
		return ExitUsage
	}
	return ExitOK
}
