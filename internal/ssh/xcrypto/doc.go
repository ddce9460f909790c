// Package xcrypto implements ssh.Dialer on golang.org/x/crypto/ssh: the fallback for the
// default client, and an independent check of it.
//
// Call [New] and pass the Dialer to the engine. It adds to the library:
//
//   - every phase has an absolute deadline, and the context cancels any of them;
//     the library's own timeout covers only the TCP connect
//   - the first 4 KiB from the server are kept, so that a server that refuses
//     connections can be told from a broken one
//   - bytes before authentication, and requests and channel opens by the server,
//     are limited by a budget
//   - the host key is verified before anything else is sent, and pinned: a later
//     key exchange cannot change it
//   - the session channel is opened and served here: requests are always drained,
//     and a channel that ends without being closed is reported
//   - algorithms that need strict key exchange (CVE-2023-48795) are not offered,
//     because the library would use them without it; nor is SHA-1
//
// It offers public keys and then the password, if there is one, once to each host. The library
// takes the password as a string and makes copies that are not overwritten. It also hides that
// a server requests a password change, which looks like a rejection.
package xcrypto
