// Package groups resolves groups as ClusterShell does: from groups.conf with its
// upcalls, from the parts in confdir, and from the YAML files in autodir.
//
// Call [New] with the files that [Paths] returns; nothing is read before the first
// query, so that a run without @group needs no configuration. Its
// [Resolver] answers Group, Names, All and Reverse; a source of "" is the default
// one. [Static] answers the same from groups that are known already.
//
// # What reaches a shell
//
// An upcall is a line that the owner of groups.conf wrote; it runs by sh -c in the
// directory of its file, as in ClusterShell. $GROUP, $NODE, $SOURCE and $CFGDIR in it
// are replaced only by what package extcmd's Word and Path accept: a name from
// the command line or from another program never becomes shell. Time and output
// are bounded.
//
// # Differences from ClusterShell 1.9
//
//   - A group that a YAML source does not have, or that an upcall gives nothing for
//     and its list does not name, is an error, not the empty set.
//   - A configuration that cannot be read is an error that names the file, not
//     passed over, unless the file does not exist.
//   - The directory of the Python installation is not searched.
package groups
