// Package memfs is the file system of one simulated host, in memory, for many
// sessions at once: directories, files, symbolic and hard links, modes, owners
// and times, as POSIX has them. It never touches the real file system, and
// imports nothing that could.
//
// Contents are kept in blocks. A block that many files of a process have, also
// on different hosts, is stored once. A file system has a size, beyond which
// writes fail with [ENOSPC], and a limit on its number of nodes.
//
// Not included: groups other than the user's own, ACLs, access times, sockets
// and named pipes.
package memfs
