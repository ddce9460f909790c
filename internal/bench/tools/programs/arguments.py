"""The arguments and the output of the three programs."""

import argparse
import sys


def read():
    """Parse the arguments."""
    parser = argparse.ArgumentParser()
    for name in ("hosts", "known-hosts", "key", "user", "command"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    with open(args.hosts, encoding="ascii") as file:
        args.hosts = file.read().split()
    return args


def show(host, output):
    """Print a host's output with its name before each line."""
    for line in output.splitlines():
        print(f"{host}: {line}", flush=True)


def complain(host, error):
    """Print why a host has no output."""
    print(f"{host}: {type(error).__name__}: {error}", file=sys.stderr)
