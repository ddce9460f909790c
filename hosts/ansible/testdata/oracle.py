"""Tells what the installed Ansible makes of inventories.

Reads a JSON list of {"sources": [...], "patterns": [...]} and prints a JSON list
of {"groups": {name: [host]}, "vars": {host: {name: value}},
"patterns": {pattern: [host] or null}} or {"error": text}. One process for all of
them, because each takes a second to start.
"""
import json
import sys

from ansible.cli.inventory import INTERNAL_VARS
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.manager import VariableManager


def tell(case):
    loader = DataLoader()
    # Found files are remembered by name and directory; cases share neither.
    inventory = InventoryManager(loader=loader, sources=case["sources"])
    variables = VariableManager(loader=loader, inventory=inventory)
    answer = {"groups": {}, "vars": {}, "patterns": {}}
    for name, group in inventory.groups.items():
        answer["groups"][name] = [h.name for h in group.get_hosts()]
    for host in inventory.get_hosts():
        told = variables.get_vars(host=host, include_hostvars=False, stage="all")
        answer["vars"][host.name] = {k: v for k, v in told.items() if k not in INTERNAL_VARS}
    for pattern in case["patterns"]:
        try:
            answer["patterns"][pattern] = [h.name for h in inventory.get_hosts(pattern)]
        except Exception:
            answer["patterns"][pattern] = None
    return answer


def main():
    answers = []
    for case in json.load(sys.stdin):
        try:
            answers.append(tell(case))
        except Exception as error:
            answers.append({"error": str(error)})
    json.dump(answers, sys.stdout, default=str)


main()
