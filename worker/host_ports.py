"""Whether a program of the host listens on a port. Tries it, and holds nothing."""

import errno
import socket
from pathlib import Path

from hostkit import netns
from overlay_net.ingress.ports import PortKey

_SOCKETS = {
    "tcp": (socket.SOCK_STREAM, 0),
    "udp": (socket.SOCK_DGRAM, 0),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_SCTP = Path("/proc/thread-self/net/sctp")
_ALL = ("0.0.0.0", "::")  # noqa: S104 - for a moment, to see whether that can be


def is_free(host: str, key: PortKey) -> bool:
    """Whether nobody listens there in the network namespace of this file: on the one address of
    the key, or on any.
    """
    protocol, number, address = key
    wanted = (address,) if address else _ALL
    return netns.call_in(host, lambda: all(_can_bind(protocol, each, number) for each in wanted))


def _can_bind(protocol: str, address: str, number: int) -> bool:
    """In the namespace of the calling thread."""
    if protocol == "sctp" and not _SCTP.exists():
        return True  # to ask for such a socket would load the kernel's module
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind, number_of_protocol = _SOCKETS[protocol]
    try:
        with socket.socket(family, kind, number_of_protocol) as probe:
            if kind == socket.SOCK_STREAM:
                # As servers do, and Docker: connections that have ended are in nobody's way. Of
                # datagrams it would let two have the same port.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address, number))
    except OSError as error:
        # Whatever else it is, nobody listens: the kernel has no such protocol, or no such address.
        return error.errno != errno.EADDRINUSE
    return True
