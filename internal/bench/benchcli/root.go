// Package benchcli is the command line of shoal-bench, which measures shoal and
// draws the results. It is a separate program, so that shoal does not contain a
// plotting library. Call [Main].
package benchcli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"

	"github.com/spf13/cobra"

	"shoal/internal/cli/completion"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/manual"
)

// Main runs the command line and returns the exit code of the process: 0 for
// success, 2 if nothing was measured, 4 if only a part was, 130 if it was
// interrupted.
func Main(ctx context.Context, args []string, stdio console.Stdio) int {
	root := &cobra.Command{
		Use:   "shoal-bench",
		Short: "Measure how long a command takes on more and more hosts, and draw it",
		Long: `shoal-bench measures shoal on more and more hosts, and draws what it measured.

Start with:
  shoal-bench run                                the reference experiment, no server needed
  shoal-bench plot bench.jsonl --html bench.html its charts and tables`,
		Args: cobra.ArbitraryArgs, // RunE reports unknown commands
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return console.UnknownCommand(cmd, args[0], "there are shoal-bench run and shoal-bench plot")
		},
	}
	root.AddCommand(newRun(stdio), newFleet(stdio), newPlot(stdio), manual.New(stdio), completion.New(stdio))
	flags.SetHelp(root)
	return console.Execute(ctx, root, "the flags of a bench stand after its name: shoal-bench run --sizes 10,100", args, stdio)
}

// profiles are the files written for go tool pprof; see HACKING.md.
type profiles struct {
	cpu        *os.File // nil if not requested
	memoryPath string   // "" if not requested
}

func startProfiles(cpuPath, memoryPath string) (*profiles, error) {
	p := &profiles{memoryPath: memoryPath}
	if cpuPath == "" {
		return p, nil
	}
	file, err := os.Create(cpuPath) // a path given by the user
	if err != nil {
		return nil, fmt.Errorf("opening the CPU profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the CPU profile: %w", err), file.Close())
	}
	p.cpu = file
	return p, nil
}

// end writes the profiles.
func (p *profiles) end() error {
	var err error
	if p.cpu != nil {
		pprof.StopCPUProfile()
		err = p.cpu.Close()
	}
	if p.memoryPath == "" {
		return err
	}
	file, openErr := os.Create(p.memoryPath)
	if openErr != nil {
		return errors.Join(err, fmt.Errorf("opening the allocation profile: %w", openErr))
	}
	runtime.GC() // the profile shows what was live at the last collection
	return errors.Join(err, pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}
