package auth

import (
	"path/filepath"
	"strings"

	"shoal/internal/ssh"
)

// A KeySpec specifies the keys to offer to one target, from its configuration.
type KeySpec = ssh.KeySpec

// clean returns w with normalised paths.
func clean(w KeySpec) KeySpec {
	w.Files, w.Certificates = cleanAll(w.Files), cleanAll(w.Certificates)
	return w
}

func cleanAll(paths []string) []string {
	list := make([]string, len(paths))
	for i, path := range paths {
		list[i] = filepath.Clean(path)
	}
	return list
}

// specID returns the same text for equal specs. Paths contain no NUL and lists contain no empty
// text, so that the parts are unambiguous.
func specID(w KeySpec) string {
	var b strings.Builder
	for _, path := range w.Files {
		b.WriteString(path)
		b.WriteByte(0)
	}
	b.WriteByte(0)
	for _, path := range w.Certificates {
		b.WriteString(path)
		b.WriteByte(0)
	}
	b.WriteByte(0)
	b.WriteString(w.AgentSocket)
	b.WriteByte(0)
	for _, set := range []bool{w.Defaults, w.Only} {
		if set {
			b.WriteByte('y')
		} else {
			b.WriteByte('n')
		}
	}
	return b.String()
}
