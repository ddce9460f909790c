// Package hostkeys verifies server host keys against known_hosts files as OpenSSH does: plain
// keys, host certificates, revocation, and learning the keys of new hosts.
//
// Call [NewVerifier] once per run. It opens a [Store] for each set of known_hosts files that
// targets have; both are safe for concurrent use. They keep files of up to 4 MiB in memory. Of
// larger ones they keep some 26 bytes for each line, and read a line again, from the file that
// they have open, when its name is asked for: a file that is replaced stays what it was, and
// lines of one that is changed in place are told by their checksums and refuse every key. A
// Verifier implements ssh.HostKeys:
//
//   - Algorithms, before the key exchange, puts the algorithms of known keys first;
//   - Check, during the key exchange, accepts or refuses the key;
//   - Accepted, after authentication, writes the key that [AcceptNew] learned;
//   - Released forgets it if the connection ended before authentication.
//
// Judge reports what is known of a key independently of the policy, and [Approve] writes keys
// that a person has verified; package scan uses both for a fleet.
//
// A refusal is a *fleet.Error in phase hostkey with outcome never_started. Its text names the
// file and line that contradict the key, has the fingerprints of both keys, and ends in a line
// that begins with "hint: ". Every error during a check refuses the key. A bad line of
// known_hosts is a [Problem] and does not affect other lines. Unreadable revocations fail
// closed: a line marked @revoked whose key cannot be read refuses every key of its names; if
// its names cannot be read either, opening the file fails, as it does for any error in a list
// of revoked keys.
//
// # Where it follows OpenSSH, and where not
//
// Names, ports, patterns, hashes and the order of checks follow hostfile.c and check_host_key
// in sshconnect.c. A name that is known under another key, of any type, is changed and never
// new. A port other than 22 is looked up as "[name]:port", and under the plain name only if
// nothing is known for "[name]:port". An alias has no port.
//
// Certificates follow the rules of OpenSSH 10.3: the authority is known for the name; it is a
// host certificate within its validity period; a principal, which may have wildcards, matches
// the host name without its port; there are no critical options and no SHA-1. An invalid
// certificate is checked as the plain key in it: an expired certificate for a known key is
// trusted, and under AcceptNew the key of a new host is learned even if its certificate is
// invalid.
//
// It is stricter than OpenSSH in six ways. An unreadable revocation line is never ignored. A
// revoked key or authority is refused under every policy, and a revocation of the plain name
// applies to every port. RSA keys below 2048 bits, also of authorities, and DSA keys are
// refused under every policy. A file that exists and cannot be read is an error. A certificate
// whose plain key is known for the name is not accepted if "[name]:port" has other keys.
// Certificates are not offered to a server for which no authority is known.
//
// The address that a name resolves to is not looked up (CheckHostIP no), and keys that a server
// announces later are not learned (UpdateHostKeys no).
package hostkeys
