package hostkeys

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/internal/ssh/match"
)

// authorityAlgorithms are the signature algorithms allowed for authorities: OpenSSH's default of
// CASignatureAlgorithms, and ML-DSA. None uses SHA-1, which no configuration can add.
var authorityAlgorithms = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519,
	ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256,
	ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512,
	ssh.KeyAlgoMLDSA44, ssh.KeyAlgoMLDSA65, ssh.KeyAlgoMLDSA87,
}

// maxNamed bounds how many principals an error lists.
const maxNamed = 5

// checkCertificate returns an error if a certificate, whose authority is trusted for the host,
// does not prove the host's name. It applies the rules of OpenSSH 10.3 (sshkey_cert_check_host
// in its sshkey.c) and checks the authority's key and signature algorithm. Principals may have wildcards;
// an empty list of principals matches nothing.
func checkCertificate(c *ssh.Certificate, name string, now time.Time, o *Options) error {
	const forever = uint64(ssh.CertTimeInfinity)
	unix := uint64(max(now.Unix(), 0))
	switch {
	case c.CertType != ssh.HostCert:
		return errors.New("it is not a host certificate")
	case unix < c.ValidAfter:
		return fmt.Errorf("it is valid only from %s on", certTime(c.ValidAfter))
	case unix >= c.ValidBefore && c.ValidBefore != forever:
		return fmt.Errorf("it has expired at %s", certTime(c.ValidBefore))
	case len(c.ValidPrincipals) == 0:
		return errors.New("it names no host")
	case !slices.ContainsFunc(c.ValidPrincipals, func(p string) bool { return match.Pattern(name, p) }):
		return fmt.Errorf("it is for %s and not for %q", listPrincipals(c.ValidPrincipals), name)
	case len(c.CriticalOptions) > 0:
		return errors.New("it has a critical option, and a host certificate has none that is known")
	case !slices.Contains(authorityAlgorithms, c.Signature.Format):
		return fmt.Errorf("it is signed with %s", quote(c.Signature.Format))
	}
	if o.CASignatures != nil && !slices.Contains(o.CASignatures, c.Signature.Format) {
		return fmt.Errorf("it is signed with %s, which CASignatureAlgorithms does not name", quote(c.Signature.Format))
	}
	if err := weakBelow(o.RSABits, c.SignatureKey); err != nil {
		return errors.New("its authority's key is too weak")
	}
	// Everything that CheckCert checks has been checked above, except the signature.
	verifier := ssh.CertChecker{Clock: func() time.Time { return now }}
	if err := verifier.CheckCert(c.ValidPrincipals[0], c); err != nil {
		return errors.New("its signature is not the authority's")
	}
	return nil
}

func certTime(seconds uint64) string {
	const year9999 = 253402300799 // later times have no RFC 3339 form
	if seconds > year9999 {
		return fmt.Sprintf("second %d", seconds)
	}
	return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
}

func listPrincipals(all []string) string {
	text := ""
	for i, p := range all {
		if i == maxNamed {
			return fmt.Sprintf("%s and %d more", text, len(all)-i)
		}
		if i > 0 {
			text += ", "
		}
		text += quote(p)
	}
	return text
}
