// Package expr parses, evaluates and folds host expressions (ClusterShell node sets), the
// short form for many host names: node[001-100], n[1-2]r[3-4], web[1-9]!web3,@db.
//
// Call [Expand] to turn an expression into names, or [Parse] to count them before
// anything is allocated; a [Resolver] parses expressions with groups. [Expr.Set]
// returns a [Set], which has the operations of set algebra. Call [Fold] to turn
// names into the shortest readable expression, and [Compare] to sort names in
// numeric order, node9 before node10.
//
// # Expressions
//
//	a,b,c                 the names in order; blanks around operators are ignored
//	node[1-3,7]           node1 node2 node3 node7
//	node[001-100]         zero padding is kept; both ends have the same width
//	node[1-9/2]           node1 node3 node5 node7 node9
//	n[1-2]r[3-4]          n1r3 n1r4 n2r3 n2r4
//	root@node[1-3]:2222   text around a range is kept around each number
//	[::1]:22              an IPv6 address: a bracket that holds a colon is no range
//	a,b  a!b  a&b  a^b    union, difference, intersection, exclusive or
//	@web                  the hosts of a group; its definition is an expression too
//	@rack[1-3]            those of three groups
//	@site:web             a group of another source
//	@*  @site:*           all hosts of a source
//	@@  @@site            the names of its groups
//	web*-?  n[1-3]*       all hosts that match: * is any text, ? one character
//
// Operators apply from left to right with equal precedence: a,b!c is (a,b)!c.
// A list with no operator other than the comma keeps order and duplicates. Otherwise
// each name occurs once, at the place of its first occurrence.
//
// # Differences from ClusterShell
//
// Names are text, and a number in them is a sequence of digits. So more is accepted:
// n[1-2][3-4] as in pdsh, and digits on either side of any bracket, with steps and
// padding: n1[9-11] is n19 n110 n111; ClusterShell puts the 1 before both ends, n[19-111].
//
// Not accepted, because a mistake must not become a set of hosts: blanks inside
// names (a b), line breaks, negative numbers (n[-1]; write n-1), numbers of more
// than 16 digits, a step on one number (n[3/1]), ends of two widths (n[0-00]),
// brackets in brackets, the empty expression, and groups that do not exist,
// which ClusterShell may treat as empty. Wildcards match the whole text of known hosts,
// including user and port.
//
// Fold writes five and more equally spaced numbers with a step, as ClusterShell
// does with autostep=5, and names without padding before padded ones.
//
// # Guarantees
//
// The package uses no network, no state, and no files except those that a caller's
// [Groups] reads. Parse takes time and memory proportional to the length of the text for a
// plain list, and to the number of names if there are operators; it refuses to exceed
// [MaxNames]. Groups are bounded in depth and size, and one that contains itself is an
// error. Expand(Fold(names)) is the set of names, for all names that an expression can
// contain. Package hosts decides which host names are valid.
package expr
