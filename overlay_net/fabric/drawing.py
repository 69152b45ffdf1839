"""The legs, routes, bridges and rules of a host, drawn one sandbox after another. Pure."""

import functools
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from api.errors import SwarmError
from overlay_net.fabric import gateway, rules
from overlay_net.fabric.hardware import GATEWAY_BRIDGE, hardware_address
from overlay_net.fabric.networks import Ground, NetworkForm
from overlay_net.fabric.picture import Bridge, Leg, LegKey, On, RouteKey

Joined = tuple[NetworkForm, Sequence[str]]
"""A network, and the addresses that somebody has in it."""


@dataclass(frozen=True)
class Host:
    """This host. `gateway`: the subnet of its gateway bridge, or why it can have none; `held`: the
    address that each sandbox has there, by path.
    """

    path: str  # file of its network namespace
    ground: Ground
    gateway: ipaddress.IPv4Network | SwarmError
    held: Mapping[str, str] = field(default_factory=dict)


class Drawing:
    """What stands in these networks on this host."""

    def __init__(self, host: Host, networks: Iterable[NetworkForm]) -> None:
        self._host = host
        self._outward: list[str] = []
        self._ways: list[rules.Way] = []
        self.legs: dict[LegKey, Leg] = {}
        self.routes: dict[RouteKey, str] = {}
        self.bridges: dict[str, Bridge] = {}
        for network in networks:
            self._ways += network.ways
            if network.bridge:
                self.bridges[network.bridge.name] = network.bridge

    @property
    def rules(self) -> str:
        """What the packet filter does for all bridges."""
        return rules.text(self._ways)

    def stand(self, path: str, joined: Iterable[Joined], *, outward: bool = False) -> None:
        """A sandbox in its networks, in the order of its interfaces.

        `outward`: it gets a way out even if none of them gives it one.
        """
        for network, addresses in joined:
            key, leg = network.leg(path, addresses)
            self.legs[key] = leg
            outward = outward or network.outward
            for version, address in network.gateways.items():
                self.routes.setdefault(RouteKey(path, version), address)
        if outward and RouteKey(path, 4) not in self.routes:
            self._outward.append(path)

    def stand_itself(self, network: NetworkForm, addresses: Sequence[str]) -> None:
        """The host in a network, without a route into it: that might lie over one of its own."""
        interfaces = map(ipaddress.ip_interface, addresses)
        alone = [f"{each.ip}/{each.max_prefixlen}" for each in interfaces]
        key, leg = network.leg(self._host.path, alone)
        self.legs[key] = leg

    def lead_out(self) -> SwarmError | None:
        """Whoever has no other way out goes by the gateway bridge; or why he cannot."""
        subnet = self._host.gateway
        if not self._outward:
            return None
        if isinstance(subnet, SwarmError):
            return subnet
        mtu, own = self._host.ground.mtu, gateway.gateway(subnet)
        self.bridges[GATEWAY_BRIDGE] = Bridge(GATEWAY_BRIDGE, frozenset({own}), mtu)
        self._ways.append(rules.Way(GATEWAY_BRIDGE, str(subnet), internal=False))
        way = own.partition("/")[0]
        for path, address in gateway.assign(subnet, self._outward, self._host.held).items():
            mac, leg = _outward(address, mtu)
            self.legs[LegKey(path, mac)] = leg
            self.routes[RouteKey(path, 4)] = way
        return None


@functools.lru_cache(maxsize=4096)
def _outward(address: str, mtu: int) -> tuple[bytes, Leg]:
    """With its hardware address. The same is asked for whenever another sandbox comes or goes."""
    leg = Leg(On.BRIDGE, GATEWAY_BRIDGE, mtu, frozenset({address}), isolated=True)
    return hardware_address([address]), leg
