package bench

import (
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"shoal/internal/bench/benchrecord"
)

// NewHeader describes this machine and this program's build.
func NewHeader(program string, s benchrecord.Settings) benchrecord.Header {
	return benchrecord.Header{
		Program: program, Commit: commit(), Go: runtime.Version(), Started: time.Now(),
		Machine: thisMachine(), Settings: s,
	}
}

func thisMachine() benchrecord.Machine {
	m := benchrecord.Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU()}
	m.Host, _ = os.Hostname()
	m.Kernel, m.CPU, m.Memory = systemFacts()
	return m
}

// commit returns the commit that the go command recorded in the program, with
// "+dirty" if files were changed; "" if it was built outside a repository.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var revision, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + dirty
}
