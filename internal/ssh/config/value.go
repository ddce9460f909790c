package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

func readNothing(l *line) error {
	l.args = nil
	return nil
}

func readText(l *line) error {
	arg, err := l.need()
	if err != nil {
		return err
	}
	l.set(l.op, arg)
	return nil
}

// readCommand reads the rest of the line as written, including quotes and comment signs.
func readCommand(l *line) error {
	l.args = nil
	l.set(l.op, strings.TrimLeft(l.rest, whitespace+"="))
	return nil
}

func readInt(l *line) error {
	arg, err := l.need()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(arg, 10, 32)
	if err != nil || n < 0 {
		return fmt.Errorf("%.80q is not a number from 0 to %d", arg, math.MaxInt32)
	}
	l.set(l.op, strconv.FormatInt(n, 10)).num = n
	return nil
}

func readPort(l *line) error {
	arg, err := l.need()
	if err != nil {
		return err
	}
	port, err := parsePort(arg)
	if err != nil || port == 0 {
		return fmt.Errorf("bad port %.80q", arg)
	}
	l.set(l.op, strconv.Itoa(port)).num = int64(port)
	return nil
}
