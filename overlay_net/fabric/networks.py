"""What one network is on a host: a tunnel, a bridge, or nothing but legs on a device. Pure."""

import functools
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from api.errors import Code, SwarmError
from api.v1 import network_pb2
from overlay_net.encrypt.ends import end_of, mtu_within
from overlay_net.fabric.hardware import bridge_name, hardware_address, tunnel_name
from overlay_net.fabric.picture import Bridge, Leg, LegKey, On, Tunnel
from overlay_net.fabric.rules import Way

VXLAN_PORT = 4789
OVERHEAD = {4: 50, 6: 70}
"""What a tunnel adds, by the IP version of its ends: outer IP, UDP, VXLAN, inner Ethernet."""
SMALLEST_MTU = {False: 68, True: 1280}
"""By whether the network has IPv6 (RFC 791, RFC 8200)."""
BRIDGE_MTU = 1500


@dataclass(frozen=True)
class Ground:
    """The host that networks stand on. `mtus`: of its devices, by address and by name."""

    data_path_address: str
    mtus: Mapping[str, int]
    port: int = VXLAN_PORT

    @property
    def mtu(self) -> int:
        """Of the device that has the data-path address; 1500 if none has."""
        return self.mtus.get(self.data_path_address, BRIDGE_MTU)


@dataclass(frozen=True)
class NetworkForm:
    """`gateways`: by IP version, what the network itself offers; `outward`: its tasks get a way out
    by the host's gateway bridge if nothing else gives them one. `subnets`: all of the network.
    """

    on: On
    parent: str
    mtu: int
    tunnel: Tunnel | None = None
    bridge: Bridge | None = None
    ways: tuple[Way, ...] = ()
    gateways: Mapping[int, str] = field(default_factory=dict)
    outward: bool = False
    ingress: bool = False
    subnets: tuple[str, ...] = ()

    def leg(self, sandbox: str, addresses: Iterable[str]) -> tuple[LegKey, Leg]:
        """The leg of a sandbox with these addresses in it."""
        form = self.on, self.parent, self.mtu, self.ingress, self.subnets
        mac, leg = _leg(*form, tuple(addresses))
        return LegKey(sandbox, mac), leg


@functools.lru_cache(maxsize=4096)
def _leg(
    on: On, parent: str, mtu: int, ingress: bool, subnets: tuple[str, ...], given: tuple[str, ...]
) -> tuple[bytes, Leg]:
    """With its hardware address. The same is asked for whenever another sandbox comes or goes."""
    whole = frozenset(_complete(address, subnets) for address in given)
    return hardware_address(whole), Leg(on, parent, mtu, whole, "ing" if ingress else "eth")


def _complete(address: str, subnets: tuple[str, ...]) -> str:
    """As the kernel shows it, with prefix length: its own, or that of the subnet it is of."""
    if "/" in address:
        return str(ipaddress.ip_interface(address))
    ip = ipaddress.ip_address(address)
    lengths = (net.prefixlen for net in map(ipaddress.ip_network, subnets) if ip in net)
    return f"{ip}/{next(lengths, ip.max_prefixlen)}"


def form(
    network: network_pb2.NodeNetwork, ground: Ground, me: network_pb2.NetworkPeer
) -> NetworkForm:
    """The network as this host builds it. `me`: how other nodes reach this one.

    REFUSED, NOT_FOUND, INVALID or UNSUPPORTED if it cannot be built here.
    """
    match network.driver:
        case "overlay" | "":
            return _overlay(network, ground, me)
        case "bridge":
            return _bridge(network)
        case "macvlan":
            return _macvlan(network, ground)
    raise SwarmError(
        Code.UNSUPPORTED,
        f"network {network.name} cannot be built on this node",
        why=f"it has no driver {network.driver}",
        remedy="use overlay, bridge or macvlan",
    )


def _overlay(
    network: network_pb2.NodeNetwork, ground: Ground, me: network_pb2.NetworkPeer
) -> NetworkForm:
    if not network.vni:
        raise _refused(network, "no VXLAN number is free for it", "remove networks nobody uses")
    # In the one form that the kernel's answers have.
    underlay = ipaddress.ip_address(ground.data_path_address)
    if str(underlay) not in ground.mtus:
        raise _refused(
            network,
            f"no interface of this node has its data-path address {underlay}",
            "give it back, or join again with --data-path-addr",
        )
    local, room = underlay, ground.mtus[str(underlay)]
    if network.encrypted:
        end = end_of(me)
        if not end:
            # Never in clear instead.
            raise _refused(network, "the managers know no key of this node yet", "wait for that")
        # Not that of the device: tunnels stay as they are while it is made anew.
        local, room = ipaddress.ip_address(end), mtu_within(room, underlay.version)
    room -= OVERHEAD[local.version]
    mtu = min(room, network.mtu or room)
    _check_mtu(network, mtu)
    name = tunnel_name(network.vni)
    return NetworkForm(
        On.TUNNEL,
        name,
        mtu,
        tunnel=Tunnel(name, network.vni, str(local), ground.port, mtu),
        outward=not network.internal,
        ingress=network.ingress,
        subnets=tuple(pool.subnet for pool in network.pools),
    )


def _bridge(network: network_pb2.NodeNetwork) -> NetworkForm:
    name = bridge_name(network.id)
    mtu = network.mtu or BRIDGE_MTU
    _check_mtu(network, mtu)
    addresses = frozenset(
        _complete(pool.gateway.partition("/")[0], (pool.subnet,))
        for pool in network.pools
        if pool.gateway
    )
    return NetworkForm(
        On.BRIDGE,
        name,
        mtu,
        bridge=Bridge(name, addresses, mtu),
        ways=tuple(Way(name, pool.subnet, network.internal) for pool in network.pools),
        gateways={} if network.internal else _gateways(network),
    )


def _macvlan(network: network_pb2.NodeNetwork, ground: Ground) -> NetworkForm:
    """An internal one stands on nothing, as with Docker, whatever its parent: the tasks of one host
    meet, on a bridge where the host itself has no address.
    """
    if network.internal:
        made = _bridge(network)
        return replace(made, bridge=Bridge(made.parent, frozenset(), made.mtu))
    parent = network.driver_options.get("parent", "")
    if not parent:
        raise SwarmError(
            Code.INVALID,
            f"network {network.name} cannot be built on this node",
            why="macvlan stands on a device of the host, and none is named",
            remedy="make the network with --opt parent=DEVICE, or with --internal",
        )
    if parent not in ground.mtus:
        raise SwarmError(
            Code.NOT_FOUND,
            f"network {network.name} cannot be built on this node",
            why=f"it has no device {parent}",
            remedy="place its tasks on nodes that have it",
        )
    mtu = min(ground.mtus[parent], network.mtu or ground.mtus[parent])
    _check_mtu(network, mtu)
    return NetworkForm(On.DEVICE, parent, mtu, gateways=_gateways(network))


def _gateways(network: network_pb2.NodeNetwork) -> dict[int, str]:
    """The first gateway of each IP version."""
    found: dict[int, str] = {}
    for pool in network.pools:
        if pool.gateway:
            address = ipaddress.ip_interface(pool.gateway).ip
            found.setdefault(address.version, str(address))
    return found


def _check_mtu(network: network_pb2.NodeNetwork, mtu: int) -> None:
    six = any(":" in pool.subnet for pool in network.pools)
    if mtu < SMALLEST_MTU[six]:
        raise _refused(
            network,
            f"frames of at most {mtu} bytes are too small for {'IPv6' if six else 'IPv4'}",
            "raise the MTU of the network, or of the device below",
        )


def _refused(network: network_pb2.NodeNetwork, why: str, remedy: str) -> SwarmError:
    return SwarmError(
        Code.REFUSED,
        f"network {network.name} cannot be built on this node",
        why=why,
        remedy=remedy,
    )
