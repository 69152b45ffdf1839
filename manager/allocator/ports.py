"""Published ports: those that were asked for, and others chosen for those that were not. Pure.

A port that was chosen stays as long as the service publishes the same target by the same protocol.
Ports of mode host are chosen on their node.
"""

from collections.abc import Callable, Iterable

from api.errors import Code, SwarmError
from api.v1 import specs_pb2
from manager.state.networks import PortKey, is_ingress

DYNAMIC = range(30000, 32768)
"""Where ports are chosen from (SwarmKit, manager/allocator/portallocator.go)."""

Port = specs_pb2.PortConfig


def settled(
    asked: Iterable[Port], present: Iterable[Port], is_free: Callable[[PortKey], bool]
) -> list[Port]:
    """The ports of a service as they are published. EXHAUSTED if none is left to choose.

    `present`: what it has; `is_free`: whether no other service publishes a port.
    """
    asked = list(asked)
    spoken_for = {(port.protocol, port.published_port) for port in asked}
    kept: dict[tuple[int, int], list[int]] = {}
    for port in present:
        if is_ingress(port) and (port.protocol, port.published_port) not in spoken_for:
            kept.setdefault((port.protocol, port.target_port), []).append(port.published_port)
    made = []
    for port in asked:
        filled = Port()
        filled.CopyFrom(port)
        if not port.published_port and is_ingress(port):
            before = kept.get((port.protocol, port.target_port))
            chosen = before.pop(0) if before else _chosen(port.protocol, spoken_for, is_free)
            filled.published_port = chosen
            spoken_for.add((port.protocol, chosen))
        made.append(filled)
    return made


def _chosen(
    protocol: int, spoken_for: Iterable[PortKey], is_free: Callable[[PortKey], bool]
) -> int:
    taken = set(spoken_for)
    for number in DYNAMIC:
        if (protocol, number) not in taken and is_free((protocol, number)):
            return number
    raise SwarmError(
        Code.EXHAUSTED,
        f"no port from {DYNAMIC.start} to {DYNAMIC.stop - 1} is free",
        remedy="publish another one: --publish published=8080,target=80",
    )
