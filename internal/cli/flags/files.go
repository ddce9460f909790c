package flags

import (
	"slices"
	"strings"
)

// fileFlags are the flags that name files here which are read.
var fileFlags = []string{
	"hostfile", "inventory", "config", "identity", "known-hosts", "password-file", "become-password-file", "script", "stdin-from",
	"nats-creds", "nats-nkey", "nats-ca", "sign-key", "allow-signers",
}

// Located returns the values of a flag with the names of files here that are read, if it has any,
// as place returns them.
func Located(flag string, values []string, place func(path string) string) []string {
	located := slices.Clone(values)
	for i, text := range located {
		switch {
		case slices.Contains(fileFlags, flag):
			located[i] = place(text)
		case flag == "env-secret":
			if variable, path, ok := strings.Cut(text, "@"); ok {
				located[i] = variable + "@" + place(path)
			}
		}
	}
	return located
}
