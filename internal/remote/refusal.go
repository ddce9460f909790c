package remote

import "bytes"

// Exit statuses of a wrapper that did not start its command. A command may use them too;
// ParseRefusal tells them apart.
const (
	StatusAgain    = 121 // the marker was started or settled before
	StatusNoMarker = 122 // the marker could not be created
	StatusNoGroup  = 123 // no process group for the command
)

// A Refusal is the reason why a wrapper did not start its command. The texts are part of
// the format.
type Refusal string

// The refusals.
const (
	RefusedAgain     Refusal = "again"     // the marker exists: it may have run, or run now
	RefusedSettled   Refusal = "settled"   // Settle came first
	RefusedHome      Refusal = "home"      // no $HOME, and no Marker.Dir
	RefusedDirectory Refusal = "directory" // the run directory is missing or not safe
	RefusedMarker    Refusal = "marker"    // the marker could not be written
	RefusedGroup     Refusal = "group"     // not the leader of a process group, and no setsid(1)
	RefusedPrintf    Refusal = "printf"    // no printf, which the command's bytes need
	RefusedEnv       Refusal = "env"       // no env(1), which Place.Env needs
	RefusedChdir     Refusal = "chdir"     // the working directory cannot be entered
	RefusedInput     Refusal = "input"     // what was sent through standard input is not there completely
	RefusedNowhere   Refusal = "nowhere"   // no directory takes a file for it

	RefusedInterpreter Refusal = "interpreter" // a script's interpreter is not there
	RefusedExec        Refusal = "exec"        // a binary cannot be executed where it is stored
	RefusedMachine     Refusal = "machine"     // a binary is for another machine
)

// ParseRefusal finds the wrapper's refusal in the standard error. A refusal proves that
// this start ran nothing.
func ParseRefusal(nonce string, stderr []byte) (Refusal, bool) {
	_, rest, _ := bytes.Cut(stderr, []byte(header(nonce)+" refused "))
	word, _, whole := bytes.Cut(rest[:min(len(rest), 40)], []byte("\n"))
	if !whole {
		return "", false
	}
	switch r := Refusal(word); r {
	case RefusedAgain, RefusedSettled, RefusedHome, RefusedDirectory, RefusedMarker, RefusedGroup, RefusedPrintf, RefusedEnv, RefusedChdir, RefusedInput,
		RefusedNowhere, RefusedInterpreter, RefusedExec, RefusedMachine:
		return r, true
	}
	return "", false
}

// Hint returns one line of advice, or "" if there is none.
func (r Refusal) Hint() string {
	switch r {
	case RefusedAgain:
		return "shoal resolve tells what became of the first start"
	case RefusedHome:
		return "name a run directory"
	case RefusedDirectory:
		return "the run directory must be a directory of the account's own with mode 0700; name another, such as /var/tmp/shoal-NAME"
	case RefusedMarker:
		return "look for a full or read-only disk, or name another run directory"
	case RefusedNowhere:
		return "it needs one that is not full or read-only among $TMPDIR, /tmp, /var/tmp and the home: set TMPDIR there (SetEnv in sshd_config, ~/.ssh/environment)"
	case RefusedInput:
		return "look for a full or read-only disk there, and for login files that read standard input"
	case RefusedInterpreter:
		return "install it there, or name another in the script's first line"
	case RefusedExec:
		return "its directory is mounted noexec: set TMPDIR there, or name another run directory"
	case RefusedGroup:
		return "install setsid (util-linux or busybox) there"
	}
	return ""
}
