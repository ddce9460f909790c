// Package hosts answers one question before anything starts: which hosts, and
// what is known of them? It reads what a person typed and the files, programs and
// inventories that they named, and gives a [List] of [fleet.Host] without
// duplicates.
//
// Call [Load] with [Options], look at the Notices of the List, then hand its
// [List.Targets] to the run; [List.EntryOf] tells where to dial a target, with
// which key, and its attributes.
//
// # All or nothing
//
// One unreadable entry refuses the whole inventory: a run on most of the hosts
// that were meant is worse than none. Load reads everything first and returns a
// single *[Problems] that names every bad entry with its source, line, cause
// and a hint. Two sources that contradict each other about a host are as bad.
//
// # Host entries
//
// An entry is [user@]host[:port], around which the ranges and lists of package
// hostset may stand: root@node[001-100]:2222. An IPv6 address stands bare (::1)
// or, where a port follows, in brackets ([::1]:22); a bare one takes every
// colon, so that ::1:22 is an address without a port. What a host and a user
// name may hold is in [ParseHost].
//
// # Host files
//
// One expression to a line. A # at the beginning of a line or after a blank
// begins a comment; empty lines do not count; lines end in LF or CRLF, the last
// one may lack it; a UTF-8 byte-order mark at the beginning is passed over. A
// line of two words is refused rather than guessed at: clush would read two
// namesOf in it, and pssh a host and a user. Lines hold at most [MaxLine] bytes,
// a source at most [MaxSource].
//
//	node[1-9]                       what pdsh (WCOLL), clush and pssh read as well
//	node[1-9] env=prod az="a b"     attributes behind the expression
//	[web]                           the hosts below are of the group web, to the next one
//	{"host":"n1","user":"ops","port":22,"address":"10.0.0.1","groups":["web"],"env":"prod"}
//
// Attributes and groups are written as in Ansible's INI files, which most people
// have seen; the tools of the pdsh family have nothing for them in host files, and
// genders' comma-separated form cannot be told from a list of hosts. All of these
// lines were refused before there were groups, so that no file changes its meaning:
// [1-9] is still a range and [::1] an address, because a group's name begins with a
// letter or '_' and has no colon. Sections with a colon ([web:vars]) are Ansible's and
// refused with a hint to read the file as that. A host may stand in several groups.
//
// The same lines are read from standard input and from the output of commands. In
// JSON, keys other than host, user, port, address, identity_file and groups are
// attributes; null is none.
//
// # What is known and what is meant
//
// Files, commands and Ansible inventories tell of hosts, and all that they tell of
// are meant, unless Patterns choose from them. Ansible inventories beside -w only
// tell: -w web1 with an inventory is web1 as the inventory knows it.
//
// Of Ansible's variables ansible_host, ansible_port, ansible_user and
// ansible_private_key_file with their older names say how a host is reached; all are
// attributes, but for passwords, which are dropped with a notice. A host that is
// meant and not reached by SSH, or by what a template would have to tell, is a
// problem.
package hosts
