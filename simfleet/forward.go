package simfleet

import (
	"fmt"
	"io"
	"net"

	"golang.org/x/crypto/ssh"
)

// forward serves a direct-tcpip channel (RFC 4254 §7.2) to another host of the
// fleet, as a jump host does.
func (c *conn) forward(n ssh.NewChannel) {
	var to struct {
		Host     string
		Port     uint32
		From     string
		FromPort uint32
	}
	if err := ssh.Unmarshal(n.ExtraData(), &to); err != nil {
		_ = n.Reject(ssh.ConnectionFailed, "not an address")
		return
	}
	i, err := Index(to.Host)
	if err != nil || i >= c.fleet.options.Hosts || to.Port != uint32(c.fleet.Port()) {
		_ = n.Reject(ssh.Prohibited, "not a host of this fleet")
		return
	}
	out, err := net.Dial("tcp", net.JoinHostPort(to.Host, fmt.Sprint(to.Port)))
	if err != nil {
		_ = n.Reject(ssh.ConnectionFailed, "connect failed")
		return
	}
	channel, requests, err := n.Accept()
	if err != nil {
		_ = out.Close()
		return
	}
	go ssh.DiscardRequests(requests) // ends with the channel
	done := make(chan struct{})      // closed by the goroutine below
	go func() {
		defer close(done)
		_, _ = io.Copy(out, channel)
		_ = out.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(channel, out)
	_ = channel.Close() // ends the other copy
	<-done
	_ = out.Close()
}
