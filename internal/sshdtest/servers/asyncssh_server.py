"""A server on AsyncSSH that runs commands."""

import asyncio
import signal
import warnings

warnings.simplefilter("ignore")  # of ciphers that nobody asks for

import asyncssh

from common import argv, config, environment, failed, listening


class Server(asyncssh.SSHServer):
    def connection_made(self, conn):
        self.conn = conn

    def begin_auth(self, username):
        if config["banner"]:
            self.conn.send_auth_banner(config["banner"])
        return True


async def run(process):
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *argv(process.command), stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
    stdin = asyncio.create_task(copy(process.stdin, child.stdin))
    stdin.add_done_callback(lambda _: child.stdin.close())
    await asyncio.gather(copy(child.stdout, process.stdout), copy(child.stderr, process.stderr))
    status = await child.wait()
    stdin.cancel()
    if status >= 0:
        process.exit(status)
    else:
        process.exit_with_signal(signal.Signals(-status).name[3:])


async def copy(source, target):
    try:
        while data := await source.read(32768):
            target.write(data)
            await target.drain()
    except (OSError, asyncssh.Error):
        pass  # the other end of one of them is gone


async def main():
    settings = {name: config[name] for name in ("rekey_bytes",) if config[name]}
    for name, key in (("kex_algs", "kex"), ("encryption_algs", "ciphers"), ("mac_algs", "macs")):
        if config[key]:
            settings[name] = config[key]
    # Read once here: AsyncSSH reads paths again for each connection.
    host_keys = [asyncssh.read_private_key(path) for path in config["host_keys"]]
    try:
        await asyncssh.create_server(
            Server, config["address"], config["port"], server_host_keys=host_keys,
            authorized_client_keys=config["authorized_keys"], process_factory=run,
            encoding=None, **settings)
    except OSError as error:
        failed(error)
    listening()
    await asyncio.Event().wait()


asyncio.run(main())
