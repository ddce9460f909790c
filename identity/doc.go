// Package identity gives the keys that shoal offers to servers: from private
// key files and from an SSH agent.
//
// Call [Load] once for a run. It reads the files, asks for passphrases and
// lists the agent's keys; the [Set] it gives implements connect.Identities and
// is safe for concurrent use. Everything that was left out stands in
// [Set.Notices], with the reason.
//
// What is promised:
//
//   - The agent is asked for its list once, and all targets share one
//     connection to it. Each signature has a deadline; an agent that is dead,
//     hangs, refuses or answers wrongly makes that attempt end as
//     never_started(agent_unavailable), and the next one dials it anew.
//   - RSA keys sign with SHA-2 only, and have at least 2048 bits.
//   - Few keys are offered (see Options.MaxKeys): servers count each as a
//     failed login.
//   - Passphrases and private keys are in no error, notice or result.
//
// Certificates and DSA keys are not offered.
package identity
