package xcrypto

import (
	"fmt"
	"slices"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/algorithms"
)

// config returns the library's configuration with the algorithms for the attempt's target. An
// empty list is an error: the library would replace it by its own defaults.
func (d *Dialer) config(a *ssh.Attempt) (*xssh.ClientConfig, *fleet.Error) {
	own := a.Target.Settings()
	offer := algorithms.Fallback(own)
	offer.HostKeys = d.hostKeys(a.Target)
	for _, l := range []struct {
		keyword string
		names   []string
	}{
		{"KexAlgorithms", offer.Kex}, {"HostKeyAlgorithms", offer.HostKeys}, {"Ciphers", offer.Ciphers},
	} {
		if len(l.names) == 0 {
			return nil, a.FailIn(fleet.PhaseKex, fleet.OutcomeNeverStarted, fleet.ReasonNoCommonAlgorithm, hint.Wrap(
				fmt.Errorf("of the algorithms for this host, golang.org/x/crypto/ssh has no %s that is safe here", l.keyword),
				"use --client best, or add one to ssh_config"))
		}
	}
	if len(offer.MACs) == 0 { // the ciphers need none, and the library would offer its own
		offer.MACs = algorithms.Fallback(&ssh.Settings{}).MACs
	}
	config := &xssh.ClientConfig{
		Config:            xssh.Config{KeyExchanges: offer.Kex, Ciphers: offer.Ciphers, MACs: offer.MACs},
		User:              a.Target.User,
		HostKeyAlgorithms: offer.HostKeys,
		ClientVersion:     "SSH-2.0-" + d.opts.Version,
	}
	config.RekeyThreshold = own.RekeyBytes // 0 means the library's default
	return config, nil
}

// hostKeys returns the policy's algorithms that the target's settings allow, in the policy's order
// unless these fix it. A policy that allows RSA keys allows ssh-rsa, their SHA-1
// signatures, if they name it.
func (d *Dialer) hostKeys(t ssh.Target) []string {
	wanted := d.opts.HostKeys.Algorithms(t)
	if len(wanted) == 0 {
		wanted = preferred(algorithms.Fallback(&ssh.Settings{}).HostKeys)
	}
	own := t.Settings()
	if own.HostKeys == nil {
		return wanted
	}
	if slices.Contains(wanted, xssh.KeyAlgoRSASHA256) || slices.Contains(wanted, xssh.KeyAlgoRSASHA512) {
		wanted = append(slices.Clone(wanted), xssh.KeyAlgoRSA)
	}
	if own.HostKeysFixed {
		return algorithms.Common(own.HostKeys, wanted)
	}
	return algorithms.Common(wanted, own.HostKeys)
}

// preferred puts Ed25519 first and removes certificates. An RSA key costs an extra round trip
// with sshd before 10.1, and Dropbear 2022.83 without an RSA key crashes if RSA is first.
func preferred(algorithms []string) []string {
	isEd25519 := func(a string) bool { return a == xssh.KeyAlgoED25519 }
	isOther := func(a string) bool { return isEd25519(a) || strings.Contains(a, "-cert-") }
	var first []string
	if slices.ContainsFunc(algorithms, isEd25519) {
		first = []string{xssh.KeyAlgoED25519}
	}
	return append(first, slices.DeleteFunc(slices.Clone(algorithms), isOther)...)
}

// restrict returns a signer that uses only algorithms that the settings allow, or nil. If they
// name ssh-rsa, an RSA key also makes SHA-1 signatures.
func restrict(s xssh.Signer, own *ssh.Settings) xssh.Signer {
	if own.UserKeys == nil {
		return s
	}
	kind := s.PublicKey().Type()
	plain, suffix := kind, ""
	if base, ok := strings.CutSuffix(kind, certSuffix); ok {
		plain, suffix = base, certSuffix
	}
	able, ok := s.(xssh.MultiAlgorithmSigner)
	if !ok || plain != xssh.KeyAlgoRSA {
		if slices.Contains(own.UserKeys, kind) {
			return s
		}
		return nil
	}
	names := slices.DeleteFunc(append(slices.Clone(able.Algorithms()), xssh.KeyAlgoRSA), func(name string) bool {
		return !slices.Contains(own.UserKeys, name+suffix)
	})
	if len(names) == 0 {
		return nil
	}
	return restricted{able, slices.Compact(names)}
}

const certSuffix = "-cert-v01@openssh.com"

type restricted struct {
	xssh.MultiAlgorithmSigner
	names []string
}

func (r restricted) Algorithms() []string { return r.names }
