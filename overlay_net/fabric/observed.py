"""What a host's fabric is, read from the kernel. Changes nothing; what is not ours is left out.

Ours are: all in the fabric's namespace; the host's devices with our prefixes; in sandboxes what
stands on those, or on a device of the host. The host's own routes are never looked at here.
"""

import contextlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from api.errors import SwarmError
from hostkit.netlink import Netlink
from overlay_net.fabric import addresses, bulk, links
from overlay_net.fabric.hardware import BRIDGE_PREFIX, PORT_PREFIX
from overlay_net.fabric.links import Link
from overlay_net.fabric.networks import Ground
from overlay_net.fabric.picture import Bridge, Leg, LegKey, On, Picture, RouteKey, Tunnel


@dataclass(frozen=True)
class _Namespace:
    """What one namespace holds; `calls`: how it calls the fabric's and the host's."""

    links: Mapping[int, Link]
    addresses: Mapping[int, frozenset[str]]
    fabric: int | None = None
    host: int | None = None


@dataclass
class _Reader:
    """Gathers legs and routes, one sandbox after another."""

    tunnels: Mapping[int, Link]
    devices: Mapping[int, Link]
    legs: dict[LegKey, Leg] = field(default_factory=dict)
    routes: dict[RouteKey, str] = field(default_factory=dict)
    ports: set[int] = field(default_factory=set)

    def read(self, path: str, namespace: _Namespace) -> None:
        """The legs of one sandbox, or of the host."""
        for index, link in namespace.links.items():
            leg = self._leg(link, namespace, namespace.addresses.get(index, frozenset()))
            if leg is not None:
                self.legs[LegKey(path, link.mac)] = leg

    def _leg(self, link: Link, namespace: _Namespace, given: frozenset[str]) -> Leg | None:
        if link.namespace is None:
            return None
        if link.kind == "macvlan" and link.namespace == namespace.fabric:
            below = self.tunnels.get(link.lower)
            return _leg(On.TUNNEL, below.name, link, given) if below else None
        if link.kind == "macvlan" and link.namespace == namespace.host:
            below = self.devices.get(link.lower)
            return _leg(On.DEVICE, below.name, link, given) if below else None
        if link.kind == "veth" and link.namespace == namespace.host:
            port = self.devices.get(link.lower)
            if port is None or not port.name.startswith(PORT_PREFIX):
                return None
            self.ports.add(port.index)
            bridge = self.devices.get(port.master)
            up = link.up and port.up
            return _leg(On.BRIDGE, bridge.name if bridge else "", link, given, port.isolated, up)
        return None


def observe(
    host: Netlink,
    fabric: Netlink,
    handles: tuple[int, int],
    host_path: str,
    sandboxes: Collection[str],
) -> Picture:
    """`handles`: file descriptors of the host's and the fabric's namespace; `sandboxes`: paths,
    of which some may not be there.
    """
    here, ours = _look(host, handles), _look(fabric, handles)
    tunnels = {index: link for index, link in ours.links.items() if link.kind == "vxlan"}
    reader = _Reader(tunnels, here.links)
    reader.read(host_path, here)
    for path in sandboxes:
        # One that is not there or cannot be read hinders no other: what is done to it will fail.
        with contextlib.suppress(SwarmError), Netlink.inside(path) as inside:
            reader.read(path, _look(inside, handles))
            for route in _defaults(inside):
                reader.routes[RouteKey(path, 6 if ":" in route else 4)] = route
    return Picture(
        tunnels={link.name: _tunnel(link) for link in tunnels.values()},
        bridges=_bridges(here),
        legs=reader.legs,
        routes=reader.routes,
        entries=_entries(fabric, tunnels),
        strays=frozenset(
            link.name
            for index, link in here.links.items()
            if link.kind == "veth" and link.name.startswith(PORT_PREFIX)
            if index not in reader.ports
        ),
    )


def ground(host: Netlink, data_path_address: str, port: int) -> Ground:
    """The host's devices and their MTUs, as they are now."""
    here = _look(host, None)
    mtus = {link.name: link.mtu for link in here.links.values()}
    for index, given in here.addresses.items():
        for address in given:
            mtus[address.split("/")[0]] = here.links[index].mtu
    return Ground(data_path_address, mtus, port)


def routed(host: Netlink) -> list[str]:
    """Subnets that this host has routes to."""
    found = map(addresses.read_route, host.dump(addresses.ask_routes()))
    return [route.to for route in found if route is not None]


def _look(socket: Netlink, handles: tuple[int, int] | None) -> _Namespace:
    found = [links.read_link(answer) for answer in socket.dump(links.ask_links())]
    given: dict[int, set[str]] = {}
    for answer in socket.dump(addresses.ask_addresses()):
        address = addresses.read_address(answer)
        if address is not None:
            given.setdefault(address[0], set()).add(address[1])
    host, fabric = (_called(socket, handle) for handle in handles) if handles else (None, None)
    by_index = {link.index: link for link in found}
    frozen = {index: frozenset(each) for index, each in given.items()}
    return _Namespace(by_index, frozen, fabric=fabric, host=host)


def _called(socket: Netlink, handle: int) -> int:
    return links.read_namespace(socket.get(links.ask_namespace(handle)))


def _defaults(inside: Netlink) -> Iterable[str]:
    """Gateways of default routes."""
    for answer in inside.dump(addresses.ask_routes()):
        route = addresses.read_route(answer)
        if route is not None and route.gateway and route.to.endswith("/0"):
            yield route.gateway


def _tunnel(link: Link) -> Tunnel:
    return Tunnel(link.name, link.vni, link.local, link.port, link.mtu, link.up)


def _bridges(here: _Namespace) -> dict[str, Bridge]:
    return {
        link.name: Bridge(link.name, here.addresses.get(index, frozenset()), link.mtu, link.up)
        for index, link in here.links.items()
        if link.kind == "bridge" and link.name.startswith(BRIDGE_PREFIX)
    }


def _leg(
    on: On,
    parent: str,
    link: Link,
    given: frozenset[str],
    isolated: bool = False,
    up: bool | None = None,
) -> Leg:
    return Leg(on, parent, link.mtu, given, link.name, isolated, link.up if up is None else up)


def _entries(fabric: Netlink, tunnels: Mapping[int, Link]) -> dict[str, dict[bytes, bytes]]:
    found: dict[str, dict[bytes, bytes]] = {link.name: {} for link in tunnels.values()}
    for question in (bulk.ask_forwarding(), bulk.ask_neighbours()):
        for answer in fabric.dump(question):
            entry = bulk.read(answer)
            if entry is not None and entry[0] in tunnels:
                index, key, value = entry
                found[tunnels[index].name][key] = value
    return found
