// Package auth gives what shoal shows to servers to be let in: keys from
// files, certificates, the keys of SSH agents, and a password.
//
// Where all targets get the same keys, call [Load] once for a run: it reads the
// files, asks for passphrases and lists the agent's keys. Where each target has
// a configuration of its own, make a [Keyring], have its Prepare load what the
// targets of the run want, and a [Router] choose by target. Both [Set] and
// [Router] implement ssh.Identities and are safe for concurrent use. What
// was left out stands in Notices, with the reason. [Passwords] spends a password.
//
// What is promised:
//
//   - Each file is read once and each agent is asked for its list once, however
//     many targets want them. All targets share one connection to an agent, on
//     which several requests are under way at a time. Each signature has a
//     deadline; an agent that is dead, hangs, refuses or answers wrongly makes
//     that attempt end as never_started(agent_unavailable), and others go on:
//     with keys from files, or on a new connection.
//   - What an agent signed is verified before a server sees it.
//   - RSA keys sign with SHA-2 only, and have at least 2048 bits. Certificates
//     are for users, within their time, and whole.
//   - Few keys are offered (see KeyringOptions.MaxKeys): servers count each as a
//     failed login.
//   - A password goes to each server once, and to no more when three have
//     rejected it and none has accepted it.
//   - Passwords, passphrases and private keys are in no error, notice or result.
//     What we keep of them is overwritten after use, as far as Go lets us: the
//     parsers' copies and those that the collector made are out of reach.
//
// What it will not do: keys in FIDO authenticators and on PKCS #11 tokens sign
// through an agent, not here. DSA keys are not offered. The agent's extension
// session-bind@openssh.com is not used: it ties a connection to one session, and
// an agent takes 16 of them, where ours is one connection for all sessions. Keys
// that were added for certain hosts only (ssh-add -h) are refused by the agent
// for that reason, and the error says so.
package auth
