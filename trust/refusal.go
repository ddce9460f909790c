package trust

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

func refuse(t fleet.Target, reason fleet.Reason, err error) *fleet.Error {
	return &fleet.Error{
		Host:    t.Host.String(),
		Outcome: fleet.OutcomeNeverStarted,
		Phase:   fleet.PhaseHostkey,
		Reason:  reason,
		Err:     err,
	}
}

var errCertificate = errors.New("the server shows a host certificate, and those are not judged yet\n" +
	"hint: put the host's plain key into known_hosts")

// name of the key as ssh-keygen -l prints it.
func describe(key ssh.PublicKey) string {
	return key.Type() + " " + ssh.FingerprintSHA256(key)
}

func notKnown(name string, key ssh.PublicKey) error {
	return fmt.Errorf("no key is known for %q, and the server shows %s\n"+
		"hint: compare this fingerprint with the host's own (there: ssh-keygen -lf on the .pub files in /etc/ssh), "+
		"then add the key to known_hosts, or use the policy accept-new to learn the keys of new hosts",
		name, describe(key))
}

func changedFrom(name string, key ssh.PublicKey, line *entry) error {
	return fmt.Errorf("the server shows %s for %q, but %s has %s: "+
		"either its key was replaced, or another machine answers in its place\n"+
		"hint: ask whoever runs the host; if its key was replaced, delete line %d of %q",
		describe(key), name, line.where(), describe(line.key), line.number, line.file)
}

func changedInRun(name string, key, first ssh.PublicKey) error {
	return fmt.Errorf("the server shows %s for %q, but showed %s earlier in this run: "+
		"either several machines share the name, or one answers in the place of another\n"+
		"hint: give each machine a name of its own, or put all their keys into known_hosts",
		describe(key), name, describe(first))
}

func revokedBy(name string, key ssh.PublicKey, line *entry) error {
	return fmt.Errorf("the server shows %s for %q, and %s revokes this key (%s)\n"+
		"hint: the key may be in the wrong hands; the host needs a new one",
		describe(key), name, line.where(), describe(line.key))
}

func weakRSA(key ssh.PublicKey, bits int) error {
	return weak(key, fmt.Sprintf("has %d bits, less than %d", bits, minRSABits))
}

func weak(key ssh.PublicKey, how string) error {
	return fmt.Errorf("the server's key %s %s\n"+
		"hint: make the host a new key, on it: ssh-keygen -A after deleting the weak one", describe(key), how)
}
