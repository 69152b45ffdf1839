"""What the fabric of a host is made of: one set of words for what it is and ought to be. Pure.

Tunnels are VXLAN devices in the fabric's own namespace; bridges are in the host's. A leg is the
interface by which a sandbox (or the host itself) stands in a network: on a tunnel, on a bridge, or
on a device of the host.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Entries = Mapping[bytes, bytes]
"""Where a tunnel sends: a hardware address (6 bytes) to a tunnel's end (4 or 16 bytes), and whom it
answers for: an IP address (4 or 16 bytes) to a hardware address (6 bytes)."""

FORWARDING_KEY = 6  # bytes


@dataclass(frozen=True)
class Tunnel:
    """A VXLAN device."""

    name: str
    vni: int
    local: str  # where it ends on this host
    port: int
    mtu: int
    up: bool = True


@dataclass(frozen=True)
class Bridge:
    """A bridge of the host; `addresses`: with prefix length, the gateways of its network."""

    name: str
    addresses: frozenset[str]
    mtu: int
    up: bool = True


class On(enum.Enum):
    """What a leg stands on."""

    TUNNEL = "tunnel"
    BRIDGE = "bridge"
    DEVICE = "device"


class LegKey(NamedTuple):
    """Which leg is meant: names of interfaces may differ from what was wished."""

    sandbox: str  # file of a network namespace
    mac: bytes


@dataclass(frozen=True)
class Leg:
    """How it stands there.

    `name`: of the interface; wished as "eth" it is given the next free number. `isolated`: on a
    bridge, it reaches the bridge itself and no other leg.
    """

    on: On
    parent: str  # name of the tunnel, bridge or device
    mtu: int
    addresses: frozenset[str]  # with prefix length
    name: str = "eth"
    isolated: bool = False
    up: bool = True


class RouteKey(NamedTuple):
    """A sandbox's default route of a family, 4 or 6."""

    sandbox: str
    version: int


@dataclass(frozen=True)
class Picture:
    """A host's fabric. `strays`: devices of the host that look like ours and belong to nothing.

    `rules`: what the packet filter ought to do; empty where that was not looked at.
    """

    tunnels: Mapping[str, Tunnel] = field(default_factory=dict)
    bridges: Mapping[str, Bridge] = field(default_factory=dict)
    legs: Mapping[LegKey, Leg] = field(default_factory=dict)
    routes: Mapping[RouteKey, str] = field(default_factory=dict)
    entries: Mapping[str, Entries] = field(default_factory=dict)  # by tunnel
    strays: frozenset[str] = frozenset()
    rules: str = ""
