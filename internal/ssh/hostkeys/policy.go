package hostkeys

import "shoal/internal/ssh"

// A Policy determines how hosts that are not in known_hosts are treated.
type Policy = ssh.HostKeyPolicy

// The policies.
const (
	Strict    = ssh.HostKeysStrict
	AcceptNew = ssh.HostKeysAcceptNew
	Insecure  = ssh.HostKeysInsecure
)
