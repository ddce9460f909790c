"""The reference's second program: all hosts at once with asyncio.gather."""

import asyncio
import sys

import arguments
from asyncssh_run import Client


async def main():
    args = arguments.read()
    client = Client(args)
    results = await asyncio.gather(
        *(client.run(host) for host in args.hosts), return_exceptions=True
    )
    failed = 0
    for host, result in zip(args.hosts, results):
        if isinstance(result, BaseException):
            arguments.complain(host, result)
            failed += 1
        else:
            arguments.show(host, result)
    return 1 if failed else 0


sys.exit(asyncio.run(main()))
