"""What a container may ask for: the names of its networks, and of no other. Pure.

Containers with the same networks share one zone. A name that several of them know is answered from
the first that has an address of the kind asked for, as Docker does, in the container's own order.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence

from api.v1 import specs_pb2
from overlay_net.dns.answer import (
    TASK_TTL,
    Answer,
    address_records,
    pointer,
)
from overlay_net.dns.message import AAAA, ANY, IN, PTR, SRV, A, Query
from overlay_net.dns.names import Name, address_of, labels_of
from overlay_net.dns.network_zone import NetworkZone

_LENGTHS = {A: 4, AAAA: 16}
_PROTOCOLS = {
    b"_tcp": specs_pb2.PortConfig.PROTOCOL_TCP,
    b"_udp": specs_pb2.PortConfig.PROTOCOL_UDP,
    b"_sctp": specs_pb2.PortConfig.PROTOCOL_SCTP,
}
_TAIL = 5
"""Bytes of a question behind its name: the name's end, type and class."""
_WEIGHTS = struct.Struct("!HHH")

Ready = dict[Name, dict[bytes, Answer]]
"""Answers made before: by name, then by the rest of the question as it is sent."""


class Zone:
    """`ready` is for whoever answers plain questions fast; `answer` keeps it filled.

    It holds names that exist, for the three types that are asked all day, and so is bounded.
    """

    def __init__(self, networks: Sequence[NetworkZone]) -> None:
        self._networks = tuple(networks)
        self.ready: Ready = {}

    def has(self, network: NetworkZone) -> bool:
        """Whether the names of a network are among this zone's."""
        return network in self._networks

    @property
    def external(self) -> bool:
        """Whether questions may leave for the host's name servers.

        Not if every network is internal: what is in a name would get out that way
        (CVE-2024-29018). A container without any network of ours has nothing to hide in.
        """
        return not self._networks or not all(n.told.internal for n in self._networks)

    def forget(self, names: Iterable[Name]) -> None:
        """These names mean something else now."""
        for name in names:
            self.ready.pop(name, None)
            for network in self._networks:
                self.ready.pop(name + network.suffix, None)

    def forget_all(self) -> None:
        """A network changed its name or its range."""
        self.ready.clear()

    def answer(self, query: Query) -> Answer | None:
        """What is known here; None for names that are not."""
        made_before = self.ready.get(query.name, {}).get(query.question[-_TAIL:])
        if made_before is not None:
            return made_before
        if query.type in _LENGTHS:
            known, records = self._addresses(query.name, query.type)
        elif query.type == PTR:
            known, records = self._pointers(query.name)
        elif query.type == SRV:
            return self._services(query.name)
        else:
            return self._others(query)
        if not known:
            return None
        made = Answer(records)
        if query.klass == IN:
            self.ready.setdefault(query.name, {})[query.question[-_TAIL:]] = made
        return made

    def owns(self, name: Name) -> bool:
        """Whether nobody else can know a name that is not here.

        So it is with addresses of our networks, and with ports of services that we know. All else
        might exist elsewhere: a service may be called `app`, and `fly.app` is somebody's.
        """
        address = address_of(name)
        if address is not None:
            return any(network.covers(address) for network in self._networks)
        ports = _split_ports(name)
        return ports is not None and any(n.services_of(base) for n, base in self._views(ports[2]))

    def _addresses(self, name: Name, type_: int) -> tuple[bool, list[bytes]]:
        known = False
        for network, inner in self._views(name):
            found = network.find(inner)
            if found is not None:
                known = True
                addresses = found.of_length(_LENGTHS[type_])
                if addresses:
                    return True, address_records(type_, addresses, found.ttl)
        return known, []

    def _pointers(self, name: Name) -> tuple[bool, list[bytes]]:
        targets = (target for network in self._networks for target in network.who_has(name))
        records = [pointer(PTR, b"", target, TASK_TTL) for target in dict.fromkeys(targets)]
        return bool(records) or self._addresses(name, A)[0], records

    def _services(self, name: Name) -> Answer | None:
        ports = _split_ports(name)
        if ports is not None:
            label, protocol, base = ports
            for network, inner in self._views(base):
                found = network.where(inner, label, protocol)
                if found:
                    return Answer(
                        [
                            pointer(SRV, _WEIGHTS.pack(0, 1, port), target, TASK_TTL)
                            for port, target in found
                        ]
                    )
        return Answer([]) if self._addresses(name, A)[0] else None

    def _others(self, query: Query) -> Answer | None:
        """All addresses for ANY (RFC 8482 asks for no more); else that there is nothing."""
        known, records = self._addresses(query.name, A)
        if not known:
            return Answer([]) if self._pointers(query.name)[0] else None
        if query.type == ANY:
            return Answer(records + self._addresses(query.name, AAAA)[1])
        return Answer([])

    def _views(self, name: Name) -> Iterator[tuple[NetworkZone, Name]]:
        """The name in each network; then, if it ends like one's name, what is before that."""
        for network in self._networks:
            yield network, name
        for network in self._networks:
            suffix = network.suffix
            if suffix and name.endswith(suffix) and len(name) > len(suffix):
                yield network, name[: -len(suffix)]


def _split_ports(name: Name) -> tuple[str, int, Name] | None:
    """`_80._tcp.web`: the port's label, the protocol, the rest."""
    if name[1:2] != b"_":
        return None
    labels = labels_of(name)
    if len(labels) < len(("port", "protocol", "name")) or labels[1] not in _PROTOCOLS:
        return None
    rest = name[2 + len(labels[0]) + len(labels[1]) :]
    return labels[0][1:].decode("ascii", "replace"), _PROTOCOLS[labels[1]], rest
