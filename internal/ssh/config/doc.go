// Package config reads OpenSSH's client configuration and resolves it per
// host, with the outcome of "ssh -G".
//
// Call [Load] once for a run: it reads the -o options, then ~/.ssh/config and
// /etc/ssh/ssh_config (or what -F names), with everything they include. The
// [Config] it gives is immutable and safe for concurrent use. Then call
// [Config.Resolve] for each host, or [Config.Route] for the host with the jump
// hosts before it. [Config.Hosts] lists the names that Host lines spell out.
//
// What is promised:
//
//   - The first value wins, as ssh_config(5) says, and [Resolved.Why] tells the
//     file and line it came from.
//   - Every keyword that OpenSSH knows is read and its value checked, on every
//     line and for every host. [Keywords] tells what becomes of each: honoured,
//     without effect, or refused. A refused keyword whose value would matter
//     for the security of a connection is an error for the hosts that it
//     applies to, naming keyword, file and line.
//   - Nothing from a host or user name reaches a shell unless it passes
//     OpenSSH's own rules ([ValidHostName], [ValidUser]).
//   - Include trees are bounded in depth, number of files and size; loops are
//     errors.
//
// # What runs
//
// Match exec runs a shell command, as ssh does, once for each distinct command,
// with a timeout; [LoadOptions.Exec] replaces or forbids it.
// CanonicalizeHostname looks names up through [LoadOptions.Lookup]. Nothing
// else runs: LocalCommand and KnownHostsCommand never do, and ProxyCommand is
// handed over, not run.
//
// # Where it follows OpenSSH, and where not
//
// Sources are readconf.c, ssh.c, misc.c and match.c. Of versions, 9.2 is the one
// that the tests compare with, and later ones are followed where they add
// something: Tag, Match tagged, localnetwork, sessiontype and command,
// RefuseConnection, tokens and environment variables in User, SetEnv and
// RevokedHostKeys, %j (and its part in %C), and words of Match lines quoted like
// all others.
//
// It is stricter than OpenSSH in these:
//
//   - The host name, its alias, the user name and jump hosts are checked even
//     when the configuration itself gives them.
//   - A configuration file that is there and cannot be read is an error.
//   - Group-writable files are refused, also where Debian's ssh lets a user's
//     private group pass.
//   - A line with an open quote around its keyword, or with a NUL byte, is an
//     error, where ssh ignores the rest.
//   - A Match exec below an Include that does not apply is not run.
package config
