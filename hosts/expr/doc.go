// Package expr reads, calculates with and writes host expressions, the short
// form in which people name many hosts at once: node[001-100], n[1-2]r[3-4],
// web[1-9]!web3,@db. The dialect is ClusterShell's.
//
// Call [Expand] to turn an expression into names, or [Parse] to count before
// anything is allocated; a [Resolver] reads expressions with groups. [Expr.Set]
// gives a [Set], which has the operations of set algebra. Call [Fold] to turn
// names back into the shortest expression that a person would write, and
// [Compare] to sort names as people count, node9 before node10.
//
// # Expressions
//
//	a,b,c                 the names in order; blanks around operators do not count
//	node[1-3,7]           node1 node2 node3 node7
//	node[001-100]         zero padding is kept; both ends have the same width
//	node[1-9/2]           node1 node3 node5 node7 node9
//	n[1-2]r[3-4]          n1r3 n1r4 n2r3 n2r4
//	root@node[1-3]:2222   what stands around a range stays around each name
//	[::1]:22              an IPv6 address: a bracket that holds a colon is no range
//	a,b  a!b  a&b  a^b    union, difference, intersection, exclusive or
//	@web                  the hosts of a group; its definition is an expression too
//	@rack[1-3]            those of three groups
//	@site:web             a group of another source
//	@*  @site:*           all hosts of a source
//	@@  @@site            the names of its groups
//	web*-?  n[1-3]*       all hosts that match: * is any text, ? one character
//
// Operators apply from left to right, none before another: a,b!c is (a,b)!c.
// A list with no operator but the comma keeps order and duplicates. Otherwise
// each name comes once, where it was first written.
//
// # Where ClusterShell differs
//
// Names are text here, and a number in them is nothing but digits. So more is
// accepted: n[1-2][3-4] as in pdsh, and digits on either side of any bracket,
// with steps and padding: n1[9-11] is n19 n110 n111, where ClusterShell puts
// the 1 before both ends and has n[19-111].
//
// And less, because a mistake must not become a set of hosts: blanks inside
// names (a b), line breaks, negative numbers (n[-1]; write n-1), numbers of more
// than 16 digits, a step on one number (n[3/1]), ends of two widths (n[0-00]),
// brackets in brackets, the empty expression, and groups that do not exist,
// which ClusterShell may take for empty. Known hosts with users or ports match
// a wildcard by their whole text.
//
// Fold writes five and more equally spaced numbers with a step, as ClusterShell
// does with autostep=5, and names without padding before padded ones.
//
// # Promises
//
// The package is pure: no network, no state, and no files but those that a
// caller's [Groups] reads. Parse costs time and memory in proportion to the
// length of a plain list, whatever it stands for, and to the names where there
// are operators; it refuses what would exceed [MaxNames]. Groups are bounded in
// depth and size, and one that contains itself is an error. Expand(Fold(names))
// is the set of names, for all names that an expression can hold. What is a
// valid host name is for package hosts to say.
package expr
