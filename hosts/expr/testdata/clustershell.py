"""Answers for TestAgreesWithClusterShell, from ClusterShell itself.

Standard input is one JSON value a line: first the groups of each source, with
all hosts under "*", then pairs of an expression and of what we fold it to, or
null where we refuse it. Each pair is answered with a line: what ClusterShell
refuses it with, or its names, its folded form, and whether our folded form is
the same set.
"""
import json
import sys

from ClusterShell.NodeSet import NodeSet
from ClusterShell.NodeUtils import GroupResolver, GroupSource


def resolver(sources):
    result = None
    for name, groups in sources:
        everyone = groups.pop("*")
        source = GroupSource(name, groups, everyone)
        if result is None:
            result = GroupResolver(source)
        else:
            result.add_source(source)
    return result


def answer(groups, expr, folded):
    try:
        nodes = NodeSet(expr, resolver=groups)
        names = list(nodes)
    except Exception as error:  # a refusal, however it comes about
        return {"refused": "%s: %s" % (type(error).__name__, error)}
    same = None
    if folded is not None:
        try:
            same = NodeSet(folded, resolver=groups) == nodes
        except Exception as error:
            same = False
    return {"names": names, "folded": str(nodes), "same": same}


groups = resolver(json.loads(sys.stdin.readline()))
for line in sys.stdin:
    expr, folded = json.loads(line)
    print(json.dumps(answer(groups, expr, folded)))
