package benchcli

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

// profiles are what is written for go tool pprof; see HACKING.md.
type profiles struct {
	cpu        *os.File // nil when none is wanted
	memoryPath string   // "" when none is wanted
}

func startProfiles(cpuPath, memoryPath string) (*profiles, error) {
	p := &profiles{memoryPath: memoryPath}
	if cpuPath == "" {
		return p, nil
	}
	file, err := os.Create(cpuPath) // the user's own choice
	if err != nil {
		return nil, fmt.Errorf("opening the CPU profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the CPU profile: %w", err), file.Close())
	}
	p.cpu = file
	return p, nil
}

// End writes the profiles.
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
	runtime.GC() // what lives is counted as of the last collection
	return errors.Join(err, pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}
