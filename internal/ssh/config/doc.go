// Package config parses OpenSSH's client configuration (ssh_config) and resolves it per host,
// with the result of "ssh -G".
//
// Call [Load] once per run: it reads the -o options, then ~/.ssh/config and /etc/ssh/ssh_config
// (or the file of -F), with everything they include. The resulting [Config] is immutable and
// safe for concurrent use. Then call [Config.Resolve] for each host, or [Config.Route] for the
// host preceded by its jump hosts. [Config.Hosts] returns the literal names in Host lines.
//
// Guarantees:
//
//   - The first value wins, as ssh_config(5) says, and [Resolved.Why] returns the file and line
//     it came from.
//   - Every keyword that OpenSSH knows is parsed and its value checked, on every line and for
//     every host. [Keywords] returns the [Class] of each. A refused keyword whose value matters
//     for the security of a connection is an error for the hosts that it applies to; the error
//     has keyword, file and line.
//   - No part of a host or user name reaches a shell unless it passes OpenSSH's own rules
//     ([ValidHostName], [ValidUser]).
//   - Include trees are limited in depth, number of files and size; loops are errors.
//
// # What runs
//
// Match exec runs a shell command, like ssh, once for each distinct command, with a timeout;
// [LoadOptions.Exec] replaces or forbids it. CanonicalizeHostname looks names up with
// [LoadOptions.Lookup]. Nothing else runs: LocalCommand and KnownHostsCommand are never run here,
// and ProxyCommand is returned, not run.
//
// # Where it follows OpenSSH, and where not
//
// The references are readconf.c, ssh.c, misc.c and match.c. The tests compare with version 9.2;
// additions of later versions are supported: Tag, Match tagged, localnetwork, sessiontype and
// command, RefuseConnection, tokens and environment variables in User, SetEnv,
// RevokedHostKeys and Include, %j (also as part of %C), and quoting in Match lines as in all others.
//
// It is stricter than OpenSSH in these points:
//
//   - The host name, its alias, the user name and jump hosts are checked even if the
//     configuration itself sets them.
//   - A configuration file that exists and cannot be read is an error.
//   - Group-writable files are refused, even where Debian's ssh accepts a user's private group.
//   - A line with an open quote around its keyword, or with a NUL byte, is an error; ssh ignores
//     the rest.
//   - An Include with a token that depends on the host, such as %h, is an error.
//   - A Match exec below an Include that does not apply is not run.
package config
