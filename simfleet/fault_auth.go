package simfleet

import (
	"strings"

	"golang.org/x/crypto/ssh"
)

func authRefused(_ *conn, config *ssh.ServerConfig) {
	config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		return nil, errNotAllowed
	}
}

func authStall(c *conn, config *ssh.ServerConfig) {
	config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		<-c.ctx.Done()
		return nil, errNotAllowed
	}
}

func authBannerFlood(_ *conn, config *ssh.ServerConfig) {
	var before ssh.ServerPreAuthConn
	config.PreAuthConnCallback = func(p ssh.ServerPreAuthConn) { before = p }
	banner := strings.Repeat("All activity may be monitored.\r\n", 128)
	config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		for {
			if err := before.SendAuthBanner(banner); err != nil {
				return nil, err
			}
		}
	}
}
