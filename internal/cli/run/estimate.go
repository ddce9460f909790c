package run

import (
	"fmt"
	"io"
	"runtime"
	"time"

	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/ssh/openssh"
	"shoal/internal/ui"
)

// printEstimate prints what the run would need of this machine, and what the
// machine has.
func printEstimate(w io.Writer, opts connect.Options, targets int) error {
	bounded := opts.Bounded()
	f := engine.EstimateRun(bounded, targets)
	programs := ""
	if opts.Client == connect.ClientSSH {
		f.Files += uint64(f.AtOnce) * (openssh.ProcessFiles - 1)
		f.Memory += uint64(f.AtOnce) * openssh.ProcessMemory
		f.Time = max(f.Time, time.Duration(targets)*openssh.ProcessTime/time.Duration(runtime.GOMAXPROCS(0)))
		programs = fmt.Sprintf("processes of ssh %s at once; each host costs one, %d MiB and %v of a processor\n",
			ui.Count(int64(f.AtOnce)), openssh.ProcessMemory>>20, openssh.ProcessTime)
		if f.Wall != "" && bounded.Fanout != opts.Engine.Fanout {
			f.Wall = fmt.Sprintf("%s processes of ssh, %d MiB each", ui.Count(int64(bounded.Fanout)), openssh.ProcessMemory>>20)
		}
	}
	of := func(need, limit uint64, show func(uint64) string) string {
		if limit == 0 {
			return show(need)
		}
		return show(need) + " of " + show(limit)
	}
	number := func(n uint64) string { return ui.Count(int64(n)) }
	mebibytes := func(n uint64) string { return ui.Count(int64(n>>20)) + " MiB" }
	wall := f.Wall
	if wall == "" {
		wall = "nothing: all targets fit at once"
	}
	_, err := fmt.Fprintf(w, `targets          %s, %s at once
open files       %s
memory           %s
local ports      %s to one server or jump host
%sconnecting       %v at the least, commands not counted
what bounds it   %s
`, ui.Count(int64(f.Targets)), ui.Count(int64(f.AtOnce)), of(f.Files, f.FilesLimit, number),
		of(f.Memory, f.MemoryLimit, mebibytes), ui.Count(int64(f.Ports)), programs, f.Time.Round(100*time.Millisecond), wall)
	return err
}
