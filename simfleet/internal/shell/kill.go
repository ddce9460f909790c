package shell

import "strings"

// signals has the signals that end a process and that SSH can name
// (RFC 4254 §6.10), by name and by their numbers on Linux.
var signals = map[string]string{
	"HUP": "HUP", "1": "HUP",
	"INT": "INT", "2": "INT",
	"QUIT": "QUIT", "3": "QUIT",
	"ILL": "ILL", "4": "ILL",
	"ABRT": "ABRT", "6": "ABRT",
	"FPE": "FPE", "8": "FPE",
	"KILL": "KILL", "9": "KILL",
	"USR1": "USR1", "10": "USR1",
	"SEGV": "SEGV", "11": "SEGV",
	"USR2": "USR2", "12": "USR2",
	"PIPE": "PIPE", "13": "PIPE",
	"ALRM": "ALRM", "14": "ALRM",
	"TERM": "TERM", "15": "TERM",
}

// Fatal says that the signal of this name, without SIG, ends a process that
// does nothing against it.
func Fatal(name string) bool { return name != "" && signals[name] == name }

func kill(c call) (uint32, error) {
	args, signal := c.args, "TERM"
	if len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name := strings.TrimPrefix(args[0][1:], "SIG")
		known, ok := signals[name]
		if !ok {
			return statusFailure, complain(c.Stderr, "kill: %s: invalid signal specification\n", name)
		}
		args, signal = args[1:], known
	}
	switch {
	case len(args) != 1:
		return statusSyntax, complain(c.Stderr, "kill: usage: kill [-SIGNAL] $$\n")
	case args[0] != c.PID:
		return statusFailure, complain(c.Stderr, "kill: (%s) - No such process\n", args[0])
	}
	return 0, killed{signal}
}
