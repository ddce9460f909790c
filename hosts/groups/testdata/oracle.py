"""Tells what the installed ClusterShell makes of expressions and sources.

Arguments are expressions, or s:SOURCE for the groups of a source; each gives a line.
"""
import sys

from ClusterShell.NodeSet import NodeSet, grouplist

for argument in sys.argv[1:]:
    if argument.startswith("s:"):
        print(" ".join(sorted(grouplist(argument[2:]))))
    else:
        print(NodeSet(argument))
