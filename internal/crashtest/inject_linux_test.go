//go:build !amd64

package crashtest

import (
	"errors"
	"syscall"
)

// canFail reports whether system calls can be made to fail here.
const canFail = false

func skipCall(int) error { return errors.ErrUnsupported }

func returnError(int, syscall.Errno) error { return errors.ErrUnsupported }
