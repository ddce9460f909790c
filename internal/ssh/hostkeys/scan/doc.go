// Package scan collects the host keys of a fleet, as ssh-keyscan does, compares them with
// known_hosts, and prepares the keys that a person approved for writing.
//
// A [Recorder] takes the place of the host-key store during a scan: it records the key that a
// server proved to have and refuses it, so that nothing is sent to an untrusted server.
// [Compare] classifies the hosts by what is known of them. [Report.Groups] groups them for
// review; [Report.Approvals] returns the input of hostkeys.Approve. [Write] and [Read] store a
// scan in the format of ssh-keyscan(1), so that the reviewed keys are approved and not the keys
// that servers present later.
//
// A scan proves nothing: an attacker between us and a host presents his own key. Compare the
// fingerprints with those on the hosts over another channel.
package scan
