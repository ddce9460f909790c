package auth

import (
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/crypto/ssh"
)

// checkCertificate refuses certificates that no server accepts from a client (OpenSSH,
// PROTOCOL.certkeys). The server checks principals and options; for the validity period see
// validAt.
func checkCertificate(cert *ssh.Certificate) error {
	if cert.CertType != ssh.UserCert {
		return errors.New("it is a certificate for a host, not for a user")
	}
	// The signature is the last field and covers everything before it.
	blob, signature := cert.Marshal(), ssh.Marshal(cert.Signature)
	end := len(blob) - 4 - len(signature)
	if end < 0 {
		return errors.New("its certificate is cut short")
	}
	if err := cert.SignatureKey.Verify(blob[:end], cert.Signature); err != nil {
		return fmt.Errorf("its certificate's signature is wrong: %w", err)
	}
	return nil
}

// validAt returns an error if a key cannot be offered at a time. A certificate is valid from
// ValidAfter on and before ValidBefore (OpenSSH, PROTOCOL.certkeys); other keys always are.
func validAt(key ssh.PublicKey, now time.Time) error {
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil
	}
	unix := uint64(max(now.Unix(), 0))
	switch {
	case unix < cert.ValidAfter:
		return fmt.Errorf("certificate %.64q is not valid before %s", cert.KeyId, dateOf(cert.ValidAfter))
	case unix >= cert.ValidBefore:
		return fmt.Errorf("certificate %.64q was valid until %s", cert.KeyId, dateOf(cert.ValidBefore))
	}
	return nil
}

// dateOf formats seconds since 1970 as a date, for years of up to four digits.
func dateOf(seconds uint64) string {
	const endOf9999 = 253402300799
	if seconds > math.MaxInt64 || seconds > endOf9999 {
		return fmt.Sprintf("%d s after 1970", seconds)
	}
	return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
}
