"""One command on one host with AsyncSSH."""

import asyncssh


class Client:
    """The options of all connections; keys and known_hosts are read once."""

    def __init__(self, args):
        self.command = args.command
        self.options = {
            "port": args.port,
            "username": args.user,
            "client_keys": [asyncssh.read_private_key(args.key)],
            "known_hosts": asyncssh.read_known_hosts(args.known_hosts),
            "agent_path": None,
            "config": None,
        }

    async def run(self, host):
        """Connect, run the command and return its output."""
        async with asyncssh.connect(host, **self.options) as connection:
            result = await connection.run(self.command, check=True)
            return result.stdout
