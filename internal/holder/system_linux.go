package holder

import (
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// bootID returns a text that is another one after each boot, and on each machine.
func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}

// peer returns the user id of the process at the other end.
func peer(c *net.UnixConn) (int, error) {
	var (
		cred *unix.Ucred
		err  error
	)
	if err := control(c, func(fd int) { cred, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, err
	}
	if err != nil {
		return 0, fmt.Errorf("asking who is at the other end: %w", err)
	}
	return int(cred.Uid), nil
}

// harden keeps other processes of this user from reading the memory, as ssh-agent does.
func harden() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
