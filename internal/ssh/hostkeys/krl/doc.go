// Package krl reads OpenSSH's key revocation lists: the compact binary files
// that ssh-keygen -k makes and that RevokedHostKeys names (PROTOCOL.krl in
// OpenSSH's source).
//
// [Parse] takes a whole file and [List.Revokes] asks it about a key. A list is
// read to its end or not at all: one that has a part which is not understood is
// an error, since that part may be what revokes the key. Nothing in a list is
// parsed as a key, so that no key in it can cost more than its length.
package krl
