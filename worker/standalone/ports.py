"""Ports of the host that a container asks for: which it gets. Pure.

A port is one container's, task or not, per protocol and address; without an address it is so on all
of the host's.
"""

from collections.abc import Callable, Collection, Iterable

from api.errors import Code, SwarmError, invalid
from api.published import CHOSEN
from api.v1 import specs_pb2
from overlay_net.ingress.ports import PortKey, is_taken, key_of

Port = specs_pb2.PortConfig
_HOST = Port.PUBLISH_MODE_HOST


def check(ports: Iterable[Port]) -> None:
    """INVALID if one is not the host's own."""
    for index, port in enumerate(ports):
        if port.mode != _HOST:
            raise invalid(
                f"ports[{index}].mode",
                "a container that is no task has ports on its own host alone",
                remedy="use mode=host",
            )


def settled(
    asked: Iterable[Port], used: Collection[PortKey], is_free: Callable[[PortKey], bool]
) -> list[Port]:
    """The ports, with one chosen where none was named; REFUSED if one is somebody's.

    `used`: those that lead to containers; `is_free`: whether no program of the host listens there.
    """
    taken = set(used)
    made = []
    for port in asked:
        given = Port()
        given.CopyFrom(port)
        if not given.published_port:
            given.published_port = _chosen(port, taken, is_free)
        key = key_of(given)
        if is_taken(key, taken) or not is_free(key):
            raise SwarmError(
                Code.REFUSED,
                f"port {key[1]}/{key[0]} of this host cannot be published",
                why="another container has it, or a program of the host listens there",
                remedy="publish another port, or none in particular",
            )
        taken.add(key)
        made.append(given)
    return made


def _chosen(port: Port, taken: set[PortKey], is_free: Callable[[PortKey], bool]) -> int:
    protocol, _, address = key_of(port)
    for number in CHOSEN:
        key = (protocol, number, address)
        if not is_taken(key, taken) and is_free(key):
            return number
    raise SwarmError(Code.EXHAUSTED, f"no {protocol} port of this host is free")
