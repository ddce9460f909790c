"""Runs a command for each connection, with the connection as its standard input and output."""

import errno
import socket
import subprocess
import sys

address, port, *command = sys.argv[1:]
try:
    listener = socket.create_server((address, int(port)), backlog=100)
except OSError as error:
    if error.errno != errno.EADDRINUSE:
        raise
    sys.exit("port in use")
print("listening on port %s" % port, file=sys.stderr, flush=True)
while True:
    connection = listener.accept()[0]
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    subprocess.Popen(command, stdin=connection, stdout=connection)  # the next one collects it
    connection.close()
