//go:build !linux

package client

import (
	"net"
	"syscall"
)

func quickAck(syscall.RawConn) {}

func descriptor(net.Conn) syscall.RawConn { return nil }
