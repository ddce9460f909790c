// Package auth provides the credentials for SSH user authentication: keys from files,
// certificates, keys in SSH agents, and a password.
//
// If all targets get the same keys, call [Load] once per run: it reads the files, asks for
// passphrases and lists the agent's keys. If each target has its own configuration, create a
// [Keyring] and load the keys of the run's targets with its Prepare; it implements
// ssh.Identities. Both are safe for concurrent use.
// Notices lists the keys that were left out, with the reason. [Passwords] hands out a password.
//
// Guarantees:
//
//   - Each file is read once and each agent is asked for its list once, for all targets. All
//     targets share one connection to an agent, with pipelined requests. Each signature has a
//     deadline. If an agent is dead, hangs, refuses or answers wrongly, that attempt ends as
//     never_started(agent_unavailable), and others continue with keys from files or on a new
//     connection.
//   - A signature from an agent is verified before it is sent to a server.
//   - RSA keys sign with SHA-2 only, and have at least 2048 bits. Certificates must be
//     well-formed user certificates within their validity period.
//   - Few keys are offered (see KeyringOptions.MaxKeys): servers count each as a failed login.
//   - A password is sent to each server once, and to no further server after three have
//     rejected it and none has accepted it (see PasswordOptions).
//   - Passwords, passphrases and private keys are never in an error, notice or result. Our copies
//     are overwritten after use as far as Go allows: copies made by parsers and by the garbage
//     collector are out of reach.
//
// Limits: keys in FIDO authenticators and on PKCS #11 tokens can only be used through an agent.
// DSA keys are not offered. The agent extension session-bind@openssh.com is not used: it binds
// a connection to a session, at most 16 per connection, but we use one connection for all
// sessions. The agent therefore refuses keys that were restricted to certain hosts (ssh-add
// -h), and the error says so.
package auth
