// Package xcrypto implements connect.Dialer on golang.org/x/crypto/ssh.
//
// Call [New], then hand the Dialer to the engine. What it adds to the library:
//
//   - every phase has an absolute deadline, and the context ends any of them;
//     the library's own timeout covers the TCP connect only
//   - the first 4 KiB from the server are kept, so that a server that turns
//     connections away is told from one that breaks
//   - bytes before authentication, requests and channel opens by the server are
//     counted against a budget
//   - the host key is judged before anything else is sent, and pinned: a key
//     exchange later in the connection cannot bring another one
//   - the session channel is opened and served here: requests are always
//     drained, and a channel that ends out of order says so
//   - nothing is offered that needs strict key exchange (CVE-2023-48795), which
//     the library would use without it, and nothing with SHA-1
//
// It offers public keys, and then the password where there is one, once to each
// host. The library takes it as a string and makes copies of it that are not
// overwritten, and keeps to itself that a server wants a new one, which looks as
// if it had rejected it.
package xcrypto
