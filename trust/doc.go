// Package trust judges host keys by known_hosts files, as OpenSSH does.
//
// Call [Open] once for a run. The [Store] it gives answers from memory and is
// safe for concurrent use; it implements connect.HostKeys:
//
//   - Algorithms, before the key exchange, puts first what is known of a host;
//   - Check, in it, gives the verdict;
//   - Accepted, after authentication, writes down what [AcceptNew] learned.
//
// A refusal is a *fleet.Error in phase hostkey with outcome never_started. Its
// text says which line of which file contradicts what, with the fingerprints of
// both keys, and ends in a line that begins with "hint: ". Whatever goes wrong
// inside a check refuses the key.
//
// # Where it follows OpenSSH, and where not
//
// Names, ports, patterns, hashes and the order of verdicts are those of
// hostfile.c and check_host_key in sshconnect.c: a name that is known under
// another key, of whatever type, is changed and never new; a port other than 22
// is looked up as "[name]:port", and under the plain name only when that knows
// nothing.
//
// It is stricter in three things. A revoked key is refused under every policy,
// and a line that revokes the key for the plain name counts on every port. RSA
// keys below 2048 bits and DSA keys are refused under every policy. A file that
// is there and cannot be read is an error.
//
// Host certificates are not judged yet: their algorithms are not offered, a
// certificate is refused, and @cert-authority lines are read and change
// nothing.
package trust
