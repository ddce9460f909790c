"""Code shared by the Python servers: settings, and the start and end of a command."""

import errno
import json
import os
import subprocess
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    config = json.load(file)

environment = dict(os.environ, HOME=config["home"])


def argv(command):
    """Returns the command line: the forced command, or the requested one."""
    return ["/bin/sh", "-c", config["force_command"] or command]


def start(command):
    pipe = subprocess.PIPE
    return subprocess.Popen(argv(command), stdin=pipe, stdout=pipe, stderr=pipe, env=environment)


def say(text):
    print(text, file=sys.stderr, flush=True)


def listening():
    say("listening on port %d" % config["port"])


def failed(error):
    """Ends the program if the port is taken, and raises other errors."""
    if error.errno != errno.EADDRINUSE:
        raise error
    say("port in use")
    sys.exit(1)


def authorized():
    """Returns the accepted keys as (type, blob in base64)."""
    with open(config["authorized_keys"], encoding="utf-8") as file:
        return {tuple(line.split()[:2]) for line in file}
