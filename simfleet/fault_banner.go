package simfleet

import (
	"net"
	"strings"
	"time"
)

// What sshd says to a client that it turns away, before any version line.
const (
	exceededMaxStartups = "Exceeded MaxStartups\r\n"     // OpenSSH before 9.8
	notAllowedNow       = "Not allowed at this time\r\n" // since 9.8
)

// throttle is sshd's: the text, and the connection closed without a look at
// what the client has sent, so that after the text the client sees EOF or RST.
func throttle(c *conn, text string) { c.say(text) }

// reset makes the close an RST. It waits for the client's first byte, or the
// RST could overtake the end of the client's connect and look like a failed
// dial.
func reset(c *conn) {
	_, _ = c.Read(make([]byte, readAhead))
	if tcp, ok := c.raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

func slowBanner(c *conn) {
	for line := range strings.SplitSeq(serverVersion+"\r\n", "") {
		if !c.say(line) || !c.pause(time.Second) {
			return
		}
	}
	c.drain()
}

// endlessBanner sends lines that RFC 4253 §4.2 allows before the version line,
// but for their number.
func endlessBanner(c *conn) {
	lines := strings.Repeat("This is not the version line yet.\r\n", 100)
	for c.say(lines) {
	}
}

const httpAnswer = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" +
	"<html><body><h1>400 Bad Request</h1></body></html>\r\n"

func notSSH(c *conn) {
	var request [512]byte
	if _, err := c.Read(request[:]); err == nil && c.say(httpAnswer) {
		c.hangUp()
	}
}

func closeAfterVersion(c *conn) {
	if c.say(serverVersion + "\r\n") {
		c.hangUp()
	}
}

// say sends text as it is, and says whether the connection took it.
func (c *conn) say(text string) bool {
	_, err := c.Write([]byte(text))
	return err == nil
}
