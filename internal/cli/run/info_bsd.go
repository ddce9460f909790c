//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package run

import (
	"os"
	"os/signal"
	"syscall"
)

// sigInfo asks who is in flight.
var sigInfo os.Signal = syscall.SIGINFO

func notifyInfo(c chan<- os.Signal) { signal.Notify(c, sigInfo) }
