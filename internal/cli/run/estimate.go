package run

import (
	"fmt"
	"io"
	"time"

	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/ui"
)

// printEstimate prints what the run would need of this machine, and what the
// machine has.
func printEstimate(w io.Writer, opts connect.Options, targets int) error {
	f := engine.EstimateRun(opts.Engine, targets)
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
connecting       %v at the least, commands not counted
what bounds it   %s
`, ui.Count(int64(f.Targets)), ui.Count(int64(f.AtOnce)), of(f.Files, f.FilesLimit, number),
		of(f.Memory, f.MemoryLimit, mebibytes), ui.Count(int64(f.Ports)), f.Time.Round(100*time.Millisecond), wall)
	return err
}
