"""A server on Paramiko that runs commands."""

import socket
import threading
import warnings

warnings.simplefilter("ignore")  # of ciphers that nobody asks for

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST

from common import authorized, config, failed, listening, say, start

KINDS = {"ed25519": paramiko.Ed25519Key, "ecdsa": paramiko.ECDSAKey, "rsa": paramiko.RSAKey}


class Server(paramiko.ServerInterface):
    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        known = (key.get_name(), key.get_base64()) in authorized()
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def get_banner(self):
        return (config["banner"], "en") if config["banner"] else (None, None)

    def check_channel_request(self, kind, chanid):
        if kind == "session":
            return paramiko.OPEN_SUCCEEDED
        return paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel, command):
        channel.command = command.decode()
        return True


def answer(channel, message):
    """Answers a channel request, and runs the command only after that."""
    paramiko.Channel._handle_request(channel, message)
    if command := channel.__dict__.pop("command", None):
        threading.Thread(target=run, args=(channel, command), daemon=True).start()


def run(channel, command):
    child = start(command)

    def stdin():
        try:
            while data := channel.recv(32768):
                child.stdin.write(data)
                child.stdin.flush()
            child.stdin.close()
        except OSError:
            pass  # the command does not read on

    def output(pipe, send):
        try:
            while data := pipe.read1(32768):
                send(data)
        except OSError:
            pass  # the client is gone

    threading.Thread(target=stdin, daemon=True).start()
    outputs = [
        threading.Thread(target=output, args=(child.stdout, channel.sendall), daemon=True),
        threading.Thread(target=output, args=(child.stderr, channel.sendall_stderr), daemon=True),
    ]
    for thread in outputs:
        thread.start()
    for thread in outputs:
        thread.join()
    status = child.wait()
    # Paramiko's servers cannot send exit-signal: send a shell's exit status.
    channel.send_exit_status(status if status >= 0 else 128 - status)
    channel.close()


def serve(connection, host_keys):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(connection)
    options = transport.get_security_options()
    if config["kex"]:
        options.kex = config["kex"]
    if config["ciphers"]:
        options.ciphers = config["ciphers"]
    if config["macs"]:
        options.digests = config["macs"]
    if config["rekey_bytes"]:
        transport.packetizer.REKEY_BYTES = config["rekey_bytes"]
    transport._channel_handler_table = {**transport._channel_handler_table, MSG_CHANNEL_REQUEST: answer}
    for key in host_keys:
        transport.add_server_key(key)
    try:
        transport.start_server(threading.Event(), Server())
    except (paramiko.SSHException, OSError) as error:
        say("connection failed: %r" % error)


host_keys = [KINDS[kind].from_private_key_file(path)
             for kind, path in zip(config["host_key_types"], config["host_keys"])]
try:
    listener = socket.create_server((config["address"], config["port"]), backlog=100)
except OSError as error:
    failed(error)
listening()
while True:
    serve(listener.accept()[0], host_keys)
