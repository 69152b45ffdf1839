"""Makes one port of a lab's host reachable on a loopback address of this machine.

    python -m machine.drivers.lab.forward ADDRESS PORT NAMESPACE TO_ADDRESS TO_PORT CGROUP LOG

Listens out here, then moves into the lab's network namespace and dials from there; a listening
socket stays where it was made. Exits 0 once it listens, and goes on in the background as the only
member of its cgroup, by which it is found and ended. It carries bytes and looks at none of them.
"""

import asyncio
import contextlib
import os
import socket
import sys

from api.errors import SwarmError
from hostkit import cgroup, netns
from machine.drivers.lab import cgroups
from machine.drivers.lab.boot import redirect

_CHUNK = 64 << 10
_DIAL_TIMEOUT = 5.0


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes from one to the other until the first ends, then the end itself."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def serve(listener: socket.socket, address: str, port: int) -> None:
    """Carry every connection of `listener` to the target; runs until it is killed."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_DIAL_TIMEOUT):
                far_reader, far_writer = await asyncio.open_connection(address, port)
        except (OSError, TimeoutError):
            writer.transport.abort()  # to the caller it looks as if nobody listened
            return
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))
        for each in (writer, far_writer):
            each.close()
            with contextlib.suppress(OSError):
                await each.wait_closed()

    async with await asyncio.start_server(connected, sock=listener) as server:
        await server.serve_forever()


def main() -> int:
    """The whole program; see the module."""
    address, port, namespace, to_address, to_port, group, log = sys.argv[1:]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        cgroups.join(cgroup.detect(), group)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, int(port)))
        listener.listen(64)
        netns.enter(namespace)
    except (OSError, SwarmError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if os.fork():
        return 0
    os.setsid()
    os.chdir("/")
    redirect(log)
    asyncio.run(serve(listener, to_address, int(to_port)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
