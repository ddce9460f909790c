package algorithms

import (
	"fmt"
	"strings"

	"shoal/internal/hint"
)

// lacking says why algorithms that servers may have are in neither client, by a part of the
// name.
var lacking = []struct{ part, why string }{
	{"sntrup761", "is in no library that we use; OpenSSH has ML-KEM instead from 9.9 on"},
	{"group18", "is not in golang.org/x/crypto/ssh"},
	{"umac-", "is not in golang.org/x/crypto/ssh"},
	{"hmac-md5", "is broken, and not in golang.org/x/crypto/ssh"},
	{"-etm@openssh.com", "is safe with strict key exchange only"},
	{"chacha20-poly1305", "is safe with strict key exchange only"},
	{"ssh-dss", "proves nothing: keys of 1024 bits"},
	{"-cbc", "is not in golang.org/x/crypto/ssh"},
	{"arcfour", "is broken"},
}

// maxExplained is how many of the server's algorithms an explanation names.
const maxExplained = 3

// Explain adds to the error of a negotiation that failed why the server's algorithms of that
// kind are not offered, and what would help. It names only algorithms known here.
func Explain(err error, server []string) error {
	var why []string
	advice := ""
	for _, name := range server {
		if keyword, ok := legacyKeyword(name); ok && advice == "" {
			advice = fmt.Sprintf("-o %s=+%s allows it, which is weak; better update the server", keyword, name)
		}
		if reason := reasonLacking(name); reason != "" && len(why) < maxExplained {
			why = append(why, fmt.Sprintf("%.60s %s", name, reason))
		}
	}
	switch {
	case advice != "":
		return hint.Wrap(err, advice)
	case len(why) > 0:
		advice = "have the server offer another too"
		if len(Common(OnlyOpenSSH(), server)) > 0 {
			advice += ", or use --client ssh"
		}
		return hint.Wrap(fmt.Errorf("%w; %s", err, strings.Join(why, "; ")), advice)
	}
	return err
}

func reasonLacking(name string) string {
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return ""
		}
	}
	for _, l := range lacking {
		if strings.Contains(name, l.part) {
			return l.why
		}
	}
	return ""
}
