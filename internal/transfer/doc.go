// Package transfer copies files to and from hosts as the "command" of a run. Its Dialers stand
// before any client.
//
// For a push it reads local sources into a Manifest, makes the text of sh that stores them at
// the far end in one exec, with their bytes as its standard input, and parses the answer.
//
//	Read ─▸ Manifest ─▸ Push ─▸ NewDialer ─▸ ssh.Attempt with Line and Input ─▸ answer ─▸ fleet.End
//
// For a pull the text of sh walks what is asked for, and its standard output is a stream of
// records and the bytes of files. Nothing in it is trusted: source says which names were asked
// for and what they are here, and store has no file under its final name before the end.
//
//	Sources ─▸ Pull ─▸ NewPullDialer ─▸ ssh.Attempt with Line ─▸ recordReader ─▸ puller ─▸ hostTree ─▸ fleet.End
//
// By SFTP the same is done from here: sftpPush does what the text of sh does, and sftpPull makes
// the records that it would send. Both are coroutines on an sftpSession, which the client's event
// loop feeds.
package transfer
