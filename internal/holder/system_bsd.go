//go:build darwin || freebsd

package holder

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// bootID returns a text that is another one after each boot.
func bootID() (string, error) {
	boot, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return "", fmt.Errorf("kern.boottime: %w", err)
	}
	host, err := unix.Sysctl("kern.hostname")
	return fmt.Sprint(host, " ", boot.Sec), err
}

// peer returns the user id of the process at the other end.
func peer(c *net.UnixConn) (int, error) {
	var (
		cred *unix.Xucred
		err  error
	)
	if err := control(c, func(fd int) { cred, err = unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED) }); err != nil {
		return 0, err
	}
	if err != nil {
		return 0, fmt.Errorf("asking who is at the other end: %w", err)
	}
	return int(cred.Uid), nil
}

func harden() {}
