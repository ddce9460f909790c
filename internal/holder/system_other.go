//go:build !linux && !darwin && !freebsd

package holder

import (
	"errors"
	"net"
)

func bootID() (string, error) { return "", errors.ErrUnsupported }

func peer(*net.UnixConn) (int, error) { return 0, errors.ErrUnsupported }

func harden() {}
