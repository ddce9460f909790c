// Package hostkeys judges host keys by known_hosts files, as OpenSSH does.
//
// Call [Open] once for a run, or [NewRouter] where hosts have files of their
// own. The [Store] or [Router] answers from memory and is safe for concurrent
// use; both implement ssh.HostKeys:
//
//   - Algorithms, before the key exchange, puts first what is known of a host;
//   - Check, in it, gives the verdict;
//   - Accepted, after authentication, writes down what [AcceptNew] learned, or
//     Released forgets it where authentication did not get that far.
//
// Judge says what is known of a key without any policy, and [Approve] writes
// down what a person has looked at; package survey does both for a fleet.
//
// A refusal is a *fleet.Error in phase hostkey with outcome never_started. Its
// text says which line of which file contradicts what, with the fingerprints of
// both keys, and ends in a line that begins with "hint: ". Whatever goes wrong
// inside a check refuses the key. A bad line of known_hosts is a [Problem] and
// loses no other line. What a bad line would revoke is not trusted for that: a line
// marked @revoked that cannot be read refuses every key of its names, and one whose
// names cannot be read either is an error of the file, as is anything bad in a list
// of revoked keys.
//
// # Where it follows OpenSSH, and where not
//
// Names, ports, patterns, hashes and the order of verdicts are those of
// hostfile.c and check_host_key in sshconnect.c: a name that is known under
// another key, of whatever type, is changed and never new; a port other than 22
// is looked up as "[name]:port", and under the plain name only when that knows
// nothing; an alias has no port.
//
// Certificates are judged by the rules of OpenSSH 10.3: an authority that is
// known for the name, a host certificate in its time, a principal, which may have
// wildcards, that is the host's name without its port, no critical option, and
// no SHA-1. One that does not count is judged as the plain key in it: an expired
// certificate for a known key is trusted, and under AcceptNew the key of a new
// host is learned whatever became of its certificate.
//
// It is stricter in six things. A line that revokes is never passed over because it
// cannot be read. A revoked key or authority is refused under
// every policy, and a line that revokes for the plain name counts on every port.
// RSA keys below 2048 bits, an authority's as well, and DSA keys count under no
// policy. A file that is there and cannot be read is an error. A certificate
// whose plain key is known for the name does not help where "[name]:port" has
// other keys. Certificates are not offered to a server for which no authority is
// known.
//
// The address that a name resolves to is not looked up (CheckHostIP no), and
// keys that a server announces later are not taken (UpdateHostKeys no).
package hostkeys
