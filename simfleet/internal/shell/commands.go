package shell

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// A call is one command with its words, after redirection.
type call struct {
	ctx context.Context
	Process
	args []string
	last uint32 // the status of the command before
}

// commands has every command by name.
var commands = map[string]func(call) (uint32, error){
	"echo":     echo,
	"printf":   printf,
	"true":     func(call) (uint32, error) { return 0, nil },
	":":        func(call) (uint32, error) { return 0, nil },
	"false":    func(call) (uint32, error) { return statusFailure, nil },
	"exit":     exit,
	"sleep":    sleep,
	"cat":      cat,
	"head":     head,
	"yes":      yes,
	"hostname": func(c call) (uint32, error) { return 0, write(c.Stdout, []byte(c.Host+"\n")) },
	"whoami":   func(c call) (uint32, error) { return 0, write(c.Stdout, []byte(c.User+"\n")) },
	"kill":     kill,

	"sha256sum": sha256sum,
}

func echo(c call) (uint32, error) {
	args, end := c.args, "\n"
	if len(args) > 0 && args[0] == "-n" {
		args, end = args[1:], ""
	}
	return 0, write(c.Stdout, []byte(strings.Join(args, " ")+end))
}

func exit(c call) (uint32, error) {
	if len(c.args) == 0 {
		return 0, exitLine{c.last}
	}
	n, err := strconv.ParseUint(c.args[0], 10, 31)
	if err != nil {
		if err := complain(c.Stderr, "sh: exit: Illegal number: %s\n", c.args[0]); err != nil {
			return 0, err
		}
		return 0, exitLine{statusSyntax}
	}
	return 0, exitLine{uint32(n & 0xff)}
}

func sleep(c call) (uint32, error) {
	if len(c.args) == 0 {
		return statusFailure, complain(c.Stderr, "sleep: missing operand\n")
	}
	var sum float64
	for _, arg := range c.args {
		seconds, ok := ParseSeconds(arg)
		if !ok {
			return statusFailure, complain(c.Stderr, "sleep: invalid time interval '%s'\n", arg)
		}
		sum += seconds
	}
	d := time.Duration(math.MaxInt64)
	if nanoseconds := sum * float64(time.Second); nanoseconds < math.MaxInt64 {
		d = time.Duration(nanoseconds)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return 0, nil
	case <-c.ctx.Done():
		return 0, brokenLine{c.ctx.Err()}
	}
}

// ParseSeconds reads the time of sleep(1), in seconds.
func ParseSeconds(arg string) (float64, bool) {
	unit := 1.0
	for suffix, seconds := range map[string]float64{"s": 1, "m": 60, "h": 3600, "d": 86400} {
		if rest, ok := strings.CutSuffix(arg, suffix); ok {
			arg, unit = rest, seconds
			break
		}
	}
	n, err := strconv.ParseFloat(arg, 64)
	return n * unit, err == nil && n >= 0
}

func cat(c call) (uint32, error) {
	for _, arg := range c.args {
		if arg != "-" {
			return statusFailure, complain(c.Stderr, "cat: %s: No such file or directory\n", arg)
		}
	}
	return 0, copyAll(c, c.Stdin)
}

// sha256sum reads standard input alone.
func sha256sum(c call) (uint32, error) {
	if len(c.args) > 0 {
		return statusFailure, complain(c.Stderr, "sha256sum: only standard input is known here\n")
	}
	hash, out := sha256.New(), c.Stdout
	c.Stdout = hash
	if err := copyAll(c, c.Stdin); err != nil {
		return 0, err
	}
	return 0, write(out, fmt.Appendf(nil, "%x  -\n", hash.Sum(nil)))
}

// head knows `-c N` alone; lines are not counted here.
func head(c call) (uint32, error) {
	args := c.args
	if len(args) > 1 && args[0] == "-c" {
		args = append([]string{"-c" + args[1]}, args[2:]...)
	}
	if len(args) == 0 || !strings.HasPrefix(args[0], "-c") || len(args) > 2 {
		return statusFailure, complain(c.Stderr, "head: only -c N [FILE] is known here\n")
	}
	n, ok := parseSize(args[0][2:])
	if !ok {
		return statusFailure, complain(c.Stderr, "head: invalid number of bytes: '%s'\n", args[0][2:])
	}
	file := "-"
	if len(args) == 2 {
		file = args[1]
	}
	var from io.Reader
	switch file {
	case "-":
		from = c.Stdin
	case "/dev/zero":
		from = zeros{}
	case "/dev/urandom":
		from = c.Random()
	default:
		return statusFailure, complain(c.Stderr, "head: cannot open '%s' for reading: No such file or directory\n", file)
	}
	return 0, copyAll(c, io.LimitReader(from, n))
}

func parseSize(s string) (int64, bool) {
	shift := 0
	for i, suffix := range []string{"K", "M", "G"} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			s, shift = rest, 10*(i+1)
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n << shift, err == nil && n >= 0 && n <= math.MaxInt64>>shift
}

// zeros is /dev/zero.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// chunk is how much a command writes at once: one SSH packet's payload
// (RFC 4253 §6.1).
const chunk = 32 << 10

func copyAll(c call, from io.Reader) error {
	buf := make([]byte, chunk)
	for {
		n, err := from.Read(buf)
		if err := write(c.Stdout, buf[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = c.ctx.Err()
		}
		if err != nil {
			return brokenLine{err}
		}
	}
}

func yes(c call) (uint32, error) {
	line := "y\n"
	if len(c.args) > 0 {
		line = strings.Join(c.args, " ") + "\n"
	}
	block := bytes.Repeat([]byte(line), max(1, chunk/len(line)))
	for c.ctx.Err() == nil {
		if err := write(c.Stdout, block); err != nil {
			return 0, err
		}
	}
	return 0, brokenLine{c.ctx.Err()}
}

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
