// Package krl reads OpenSSH's key revocation lists: the compact binary files
// that ssh-keygen -k makes and that RevokedHostKeys names (PROTOCOL.krl in
// OpenSSH's source).
//
// [Parse] reads a whole file and [List.Revokes] looks up a key. An unknown or malformed part
// makes Parse fail, since that part may be what revokes the key. Keys in a list are not parsed
// but kept as bytes, so that a key costs no more than its length.
package krl
