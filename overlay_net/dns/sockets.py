"""The sockets of a container's DNS server, made inside its network namespace."""

import errno
import socket
from pathlib import Path
from typing import NamedTuple

from api.errors import Code, SwarmError
from hostkit import netns
from overlay_net.dns.resolv import SERVER

PREFERRED_PORT = 61_053
"""Tried first: a daemon that begins anew is found where the flows that the kernel tracks lead.
Above the ports that the kernel gives out, and unlikely to be a container's own."""

_BACKLOG = 64
_RECEIVE_BUFFER = 1 << 20
_IP_FREEBIND = 15


class Sockets(NamedTuple):
    """Both are bound, do not block, and stay in their namespace whoever uses them."""

    udp: socket.socket
    tcp: socket.socket

    def ports(self) -> tuple[int, int]:
        """UDP's and TCP's."""
        return self.udp.getsockname()[1], self.tcp.getsockname()[1]

    def close(self) -> None:
        """Closes both."""
        self.udp.close()
        self.tcp.close()


def make(inside: Path) -> Sockets:
    """Both sockets, in the namespace of file `inside`. Blocks for a fraction of a millisecond."""
    try:
        return netns.call_in(inside, _make)
    except OSError as error:
        raise SwarmError(
            Code.UNAVAILABLE, f"no DNS server in network namespace {inside}", why=str(error)
        ) from error


def _make() -> Sockets:
    udp = _bound(socket.SOCK_DGRAM)
    try:
        tcp = _bound(socket.SOCK_STREAM)
    except OSError:
        udp.close()
        raise
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    tcp.listen(_BACKLOG)
    return Sockets(udp, tcp)


def _bound(kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC)
    try:
        sock.setblocking(False)
        # The loopback device may not be up yet.
        sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((SERVER, PREFERRED_PORT))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            sock.bind((SERVER, 0))
    except OSError:
        sock.close()
        raise
    return sock
