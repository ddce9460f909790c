"""The reference's first program: one host after the other."""

import asyncio
import sys

import arguments
from asyncssh_run import Client


async def main():
    args = arguments.read()
    client = Client(args)
    failed = 0
    for host in args.hosts:
        try:
            arguments.show(host, await client.run(host))
        except Exception as error:
            arguments.complain(host, error)
            failed += 1
    return 1 if failed else 0


sys.exit(asyncio.run(main()))
