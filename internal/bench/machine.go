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

// commit is what the Go command wrote into the program, with "+dirty" when files
// were changed; "" when it was built outside a repository.
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
