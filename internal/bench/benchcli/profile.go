package benchcli

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

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
