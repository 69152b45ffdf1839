"""Whether programs of this host listen on a port. Tries it, and holds nothing."""

import contextlib
import errno
import socket

from overlay_net.ingress.ports import PortKey

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def is_free(key: PortKey) -> bool:
    """Whether nobody listens there, in the network namespace of this process. Of SCTP nothing is
    known.
    """
    protocol, number, address = key
    kind = _KINDS.get(protocol)
    if kind is None:
        return True
    families = (
        (socket.AF_INET6 if ":" in address else socket.AF_INET,)
        if address
        else (socket.AF_INET, socket.AF_INET6)
    )
    return all(_binds(family, kind, address, number) for family in families)


def _binds(family: int, kind: int, address: str, number: int) -> bool:
    with contextlib.suppress(OSError), socket.socket(family, kind) as made:
        if kind == socket.SOCK_STREAM:  # connections that have ended are in nobody's way
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            made.bind((address, number))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True
