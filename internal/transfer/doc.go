// Package transfer copies files to hosts as the "command" of a run. It reads local sources
// into a Manifest, makes the text of sh that stores them at the far end in one exec, with their
// bytes as its standard input, and parses the answer. Its Dialer stands before any client.
//
//	Read ─▸ Manifest ─▸ Push ─▸ NewDialer ─▸ ssh.Attempt with Line and Input ─▸ answer ─▸ fleet.End
package transfer
