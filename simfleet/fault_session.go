package simfleet

import "golang.org/x/crypto/ssh"

// refuseSession is what sshd does for an account that may not have one.
func refuseSession(n ssh.NewChannel) {
	_ = n.Reject(ssh.Prohibited, "open failed")
}
