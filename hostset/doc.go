// Package hostset reads and writes host expressions, the short form in which
// people name many hosts at once: node[001-100], n[1-2]r[3-4], web1,db[7-9].
// The dialect is ClusterShell's.
//
// Call [Expand] to turn an expression into names, or [Parse] to count before
// anything is allocated; call [Fold] to turn names back into the shortest
// expression that a person would write; call [Compare] to sort names as people
// count, node9 before node10.
//
// # Expressions
//
//	a,b,c                 the names in order; blanks around commas do not count
//	node[1-3,7]           node1 node2 node3 node7
//	node[001-100]         zero padding is kept; both ends have the same width
//	node[1-9/2]           node1 node3 node5 node7 node9
//	n[1-2]r[3-4]          n1r3 n1r4 n2r3 n2r4
//	n[1-2][3-4]           n13 n14 n23 n24 (as pdsh; ClusterShell refuses it)
//	root@node[1-3]:2222   what stands around a range stays around each name
//	[::1]:22              an IPv6 address: a bracket that holds a colon is no range
//
// Order and duplicates are kept. Set operators, groups and wildcards are
// refused with a message of their own, so that an expression written for them
// never means something else.
//
// # Promises
//
// The package is pure: no files, no network, no state. Parse costs time and
// memory in proportion to the length of the expression, whatever it stands for,
// and refuses what would exceed [MaxNames]. Expand(Fold(names)) is the set of
// names, for all names that an expression can hold. Names are text here: what
// is a valid host name is for package inventory to say.
package hostset
