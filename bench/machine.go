package bench

import (
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"shoal/bench/raw"
)

// NewHeader describes this machine and this program's build.
func NewHeader(program string, s raw.Settings) raw.Header {
	return raw.Header{
		Program: program, Commit: commit(), Go: runtime.Version(), Started: time.Now(),
		Machine: thisMachine(), Settings: s,
	}
}

func thisMachine() raw.Machine {
	m := raw.Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU()}
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
