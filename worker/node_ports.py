"""Ports of this node that its tasks have for themselves (mode host). Those that nobody named are
chosen here, from where Linux chooses them too, and never one on which a program listens.
"""

import errno
import socket
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from api.errors import Code, SwarmError
from api.published import CHOSEN, address_of
from api.v1 import specs_pb2
from hostkit import netns
from overlay_net.ingress.ports import is_taken, key_of
from worker.task_place import Place

Port = specs_pb2.PortConfig

_SOCKETS = {
    Port.PROTOCOL_TCP: (socket.SOCK_STREAM, 0),
    Port.PROTOCOL_UDP: (socket.SOCK_DGRAM, 0),
    Port.PROTOCOL_SCTP: (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_NETFILTER = Path("/proc/sys/net/netfilter")


def filled(place: Place, taken: Iterable[Port], is_free: Callable[[Port], bool]) -> Place:
    """The place with a number for each of its ports. Pure.

    `taken`: what others have of this node, or all nodes; `is_free`: whether no program of the host
    listens there. EXHAUSTED if there is none. The search begins elsewhere for each task, so that a
    number is not soon another's.
    """
    if all(port.published_port for port in place.ports):
        return place
    named = (port for port in place.ports if port.published_port)
    held = [key_of(port) for port in (*taken, *named)]
    made: list[Port] = []
    start = zlib.crc32(place.task_id.encode()) % len(CHOSEN)
    for port in place.ports:
        one = Port()
        one.CopyFrom(port)
        if not port.published_port:
            for number in (*CHOSEN[start:], *CHOSEN[:start]):
                one.published_port = number
                if not is_taken(key_of(one), held) and is_free(one):
                    break
            else:
                raise SwarmError(
                    Code.EXHAUSTED,
                    f"no port from {CHOSEN.start} to {CHOSEN.stop - 1} is free on this node",
                    remedy="name one: --publish mode=host,published=8080,target=80",
                )
            held.append(key_of(one))
        made.append(one)
    return replace(place, ports=tuple(made))


def is_free(host: str, port: Port) -> bool:
    """Whether no program listens there in the network namespace of this file."""
    address = address_of(port)
    wanted = [address] if address else ["0.0.0.0", "::"]  # noqa: S104 - for a moment, to see whether that can be
    return netns.call_in(host, lambda: all(_can_bind(each, port) for each in wanted))


def _can_bind(address: str, port: Port) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, *_SOCKETS[port.protocol]) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address, port.published_port))
    except OSError as error:
        # Whatever else it is, nobody listens: the kernel has no such protocol, or no such address.
        return error.errno != errno.EADDRINUSE
    return True


def check_sctp(ports: Iterable[Port], *, netfilter: Path = _NETFILTER) -> None:
    """UNSUPPORTED if one of the ports is of SCTP, and the kernel does not keep its connections.

    `netfilter`: what is there only says so once the kernel keeps any connections.
    """
    keeps_any = (netfilter / "nf_conntrack_max").exists()
    keeps_sctp = (netfilter / "nf_conntrack_sctp_timeout_established").exists()
    asked = any(port.protocol == Port.PROTOCOL_SCTP for port in ports)
    if asked and keeps_any and not keeps_sctp:
        raise SwarmError(
            Code.UNSUPPORTED,
            "this node cannot lead SCTP to a task",
            why="its kernel was built without CONFIG_NF_CT_PROTO_SCTP",
            remedy="place the task elsewhere: --constraint node.hostname!=...",
        )
