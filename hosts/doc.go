// Package hosts loads the list of hosts for a run: from host expressions, host files, programs,
// ssh_config names and Ansible inventories. The result is a [List] of [fleet.Host] without
// duplicates, with the attributes of each host.
//
// Call [Load] with [Options], show the Notices of the List, and pass [List.Targets] to the run;
// [List.EntryOf] returns a target's dial address, key file and attributes.
//
// # All or nothing
//
// One unreadable entry makes the whole inventory an error: a run on only most of the intended
// hosts is worse than none. Load reads everything first and returns a single *[Problems] that
// names every bad entry with its source, line, cause and a hint. Two sources that contradict
// each other about a host are a problem too.
//
// # Host entries
//
// An entry is [user@]host[:port] with the ranges and lists of package expr:
// root@node[001-100]:2222. An IPv6 address is written bare (::1) or, if a port follows, in
// brackets ([::1]:22); in a bare one every colon belongs to the address, so that ::1:22 has
// no port. [ParseHost] documents which host and user names are valid.
//
// # Host files
//
// One expression per line. A # at the beginning of a line or after a blank begins a comment;
// empty lines are ignored; lines end in LF or CRLF, optional for the last line; a UTF-8
// byte-order mark at the beginning is skipped. A line of two words is an error because it is
// ambiguous: clush would read two names, pssh a host and a user. Lines have at most [MaxLine]
// bytes, a source at most [MaxSource].
//
//	node[1-9]                       as in pdsh (WCOLL), clush and pssh
//	node[1-9] env=prod az="a b"     attributes after the expression
//	[web]                           the hosts up to the next header are in group web
//	{"host":"n1","user":"ops","port":22,"address":"10.0.0.1","groups":["web"],"env":"prod"}
//
// Attributes and groups have the syntax of Ansible's INI files, which most people know; host
// files of the pdsh family have no syntax for them, and genders' comma-separated form cannot be
// distinguished from a list of hosts. [1-9] is a range and [::1] an address, because a group's
// name begins with a letter or '_' and has no colon. Sections with a colon ([web:vars]) are
// Ansible's: they are refused, with a hint to read the file as an Ansible inventory. A host
// may be in several groups.
//
// The same lines are read from standard input and from the output of commands. In JSON, keys
// other than host, user, port, address, identity_file and groups are attributes; an attribute
// whose value is null is ignored.
//
// # Which hosts are selected
//
// All hosts of files, commands and Ansible inventories are selected, unless Patterns choose
// some of them. With -w, Ansible inventories select no hosts and only add what they know:
// -w web1 with an inventory is web1 with the inventory's address, user and attributes.
//
// Ansible's variables ansible_host, ansible_port, ansible_user and ansible_private_key_file,
// and their older names, determine how a host is reached. All variables are attributes, except
// passwords, which are dropped with a notice. A selected host that is not reached by SSH, or
// whose connection variables contain a template, is a problem.
package hosts
