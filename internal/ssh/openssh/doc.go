// Package openssh implements ssh.Dialer with the system's ssh program, for what no client of
// ours has: Kerberos, host-based authentication, PKCS#11 tokens, KnownHostsCommand, the
// algorithms that only OpenSSH has, connections that a ControlMaster holds open.
//
// The program does the key exchange and the login, as a control master, and nothing else:
//
//   - The Dialer opens the connection (address, jump hosts, proxy command), and carries its
//     bytes to the program and back (ProxyCommand=-). It sees the greeting and the key
//     exchange, which are not encrypted, so that phases, deadlines and reasons are exact up to
//     the login.
//   - The host key in the key exchange gets a verdict by ssh.HostKeys before the program sees it.
//     The program then accepts this key only, also in later key exchanges: it gets a
//     known_hosts file with this one line, and StrictHostKeyChecking=yes. With
//     KnownHostsCommand it may also accept a key that known_hosts does not know and the
//     command lists. Until there is a verdict, nothing encrypted leaves.
//   - The keys to offer come from ssh.Identities, through an agent that lasts until the login.
//     The program is given no password and asks for none.
//   - The command runs over the control socket in the multiplexer's proxy mode, by the code of
//     package xcrypto: the channel's messages are ours, so that outcomes, output and exit
//     status are as exact as there. Before the control socket exists, no byte of a command can
//     have left.
//
// All options are given on the command line, with -F none: the program reads no file that might
// say something else than what was planned. Its text is quoted in errors and decides nothing.
//
// Each connection is one process of some 10 MB, which its connection ends. The number of
// processes is bounded; see [Processes].
package openssh
