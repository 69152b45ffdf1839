"""Ports of a node that its containers have for themselves (mode host): which they get.

A port is one container's, per protocol and address; without an address it is so on all of the
node's. Those that nobody named are chosen from where Linux chooses them too.
"""

import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path

from api.errors import Code, SwarmError
from api.published import CHOSEN
from api.v1 import specs_pb2
from overlay_net.ingress.ports import PortKey, is_taken, key_of
from worker.task_place import Place

Port = specs_pb2.PortConfig
IsFree = Callable[[PortKey], bool]
"""Whether no program of the host listens there."""

_NETFILTER = Path("/proc/sys/net/netfilter")


def filled(place: Place, taken: Iterable[Port], is_free: IsFree) -> Place:
    """The place with a number for each of its ports. Pure.

    `taken`: what others have of this node, or all nodes. The search begins elsewhere for each task,
    so that a number is not soon another's.
    """
    if all(port.published_port for port in place.ports):
        return place
    start = zlib.crc32(place.task_id.encode()) % len(CHOSEN)
    return replace(place, ports=tuple(_numbered(place.ports, map(key_of, taken), is_free, start)))


def granted(asked: Iterable[Port], taken: Iterable[PortKey], is_free: IsFree) -> list[Port]:
    """The ports of a container that is no task, chosen from the lowest on where none was named;
    REFUSED if one is somebody's. Pure.
    """
    asked, held = list(asked), set(taken)
    for port in filter(_is_named, asked):
        key = key_of(port)
        if is_taken(key, held):
            raise _refused(key, "another container has it")
        held.add(key)
    refuse_listened(asked, is_free)
    return _numbered(asked, held, is_free, 0)


def refuse_listened(ports: Iterable[Port], is_free: IsFree) -> None:
    """REFUSED if a program of the host listens on one of the ports that have a number: it would get
    no more connections.
    """
    for key in map(key_of, filter(_is_named, ports)):
        if not is_free(key):
            raise _refused(key, "a program of the host listens there")


def _numbered(
    ports: Iterable[Port], taken: Iterable[PortKey], is_free: IsFree, start: int
) -> list[Port]:
    """EXHAUSTED if there is no number for one."""
    ports = list(ports)
    held = [*taken, *map(key_of, filter(_is_named, ports))]
    made: list[Port] = []
    for port in ports:
        one = Port()
        one.CopyFrom(port)
        if not _is_named(port):
            one.published_port = _chosen(port, held, is_free, start)
            held.append(key_of(one))
        made.append(one)
    return made


def _chosen(port: Port, held: Iterable[PortKey], is_free: IsFree, start: int) -> int:
    protocol, _, address = key_of(port)
    for number in chain(CHOSEN[start:], CHOSEN[:start]):
        key = (protocol, number, address)
        if not is_taken(key, held) and is_free(key):
            return number
    raise SwarmError(
        Code.EXHAUSTED,
        f"no port from {CHOSEN.start} to {CHOSEN.stop - 1} is free on this node",
        remedy="name one: --publish mode=host,published=8080,target=80",
    )


def _is_named(port: Port) -> bool:
    return port.published_port > 0


def _refused(key: PortKey, why: str) -> SwarmError:
    protocol, number, address = key
    where = f"[{address}]:" if ":" in address else address and f"{address}:"
    return SwarmError(
        Code.REFUSED,
        f"port {where}{number}/{protocol} of this node cannot be published",
        why=why,
        remedy="publish another port, or none in particular",
    )


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
