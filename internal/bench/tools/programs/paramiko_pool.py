"""A pool of threads, each of which runs the command with Paramiko."""

import sys
from concurrent.futures import ThreadPoolExecutor

import arguments
import paramiko
from paramiko.hostkeys import HostKeyEntry


class Pool:
    """The options of all connections; keys and known_hosts are read once."""

    def __init__(self, args):
        self.args = args
        self.key = paramiko.Ed25519Key(filename=args.key)
        # HostKeys.lookup searches all entries linearly, so each client gets
        # only its own host's entry.
        self.known = {}
        with open(args.known_hosts, encoding="ascii") as file:
            for line in file:
                entry = HostKeyEntry.from_line(line)
                for name in entry.hostnames:
                    self.known[name] = entry.key

    def run(self, host):
        """Connect, run the command and return its output."""
        name = f"[{host}]:{self.args.port}"
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.RejectPolicy())
            known = self.known[name]
            client.get_host_keys().add(name, known.get_name(), known)
            client.connect(
                host,
                port=self.args.port,
                username=self.args.user,
                pkey=self.key,
                allow_agent=False,
                look_for_keys=False,
            )
            _, stdout, _ = client.exec_command(self.args.command)
            output = stdout.read().decode()
            status = stdout.channel.recv_exit_status()
            if status != 0:
                raise RuntimeError(f"exit status {status}")
            return output


def main():
    args = arguments.read()
    pool = Pool(args)
    failed = 0
    with ThreadPoolExecutor(args.threads) as threads:
        futures = [threads.submit(pool.run, host) for host in args.hosts]
        for host, future in zip(args.hosts, futures):
            try:
                arguments.show(host, future.result())
            except Exception as error:
                arguments.complain(host, error)
                failed += 1
    return 1 if failed else 0


sys.exit(main())
