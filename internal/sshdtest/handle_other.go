//go:build !linux

package sshdtest

import (
	"errors"
	"syscall"
	"time"
)

// Elsewhere no server is started: what it leaves behind could not be killed.
var errLinux = errors.New("real servers are only started on Linux")

func attributes() (*syscall.SysProcAttr, error) { return nil, errLinux }

type handle int

func open(int) (handle, error)          { return 0, errLinux }
func (handle) close()                   {}
func (handle) kill()                    {}
func (handle) ended() bool              { return true }
func (handle) waitUntil(time.Time) bool { return true }
