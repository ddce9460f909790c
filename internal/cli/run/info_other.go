//go:build !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package run

import "os"

// sigInfo is a signal of the BSDs.
var sigInfo os.Signal

func notifyInfo(chan<- os.Signal) {}
