"""The steps from what a host's fabric is to what it ought to be; printed, a plan for people. Pure.

They say what is to be done, and never do it.
"""

from collections.abc import Collection
from dataclasses import dataclass

from overlay_net.fabric.hardware import shown
from overlay_net.fabric.picture import FORWARDING_KEY, Bridge, Entries, Leg, LegKey, Tunnel


@dataclass(frozen=True)
class MakeTunnel:
    """A VXLAN device, up."""

    tunnel: Tunnel

    def __str__(self) -> str:
        it = self.tunnel
        return f"make tunnel {it.name}: vni {it.vni} from {it.local}:{it.port}, mtu {it.mtu}"


@dataclass(frozen=True)
class SetTunnel:
    """Its MTU, and up."""

    tunnel: Tunnel

    def __str__(self) -> str:
        return f"set tunnel {self.tunnel.name}: mtu {self.tunnel.mtu}, up"


@dataclass(frozen=True)
class RemoveTunnel:
    """The device, and all legs on it."""

    name: str

    def __str__(self) -> str:
        return f"remove tunnel {self.name}"


@dataclass(frozen=True)
class MakeBridge:
    """A bridge of the host with its addresses, up."""

    bridge: Bridge

    def __str__(self) -> str:
        it = self.bridge
        return f"make bridge {it.name}: {_list(it.addresses)}, mtu {it.mtu}"


@dataclass(frozen=True)
class SetBridge:
    """Its MTU, and up; addresses that it lacks, and those it should not have."""

    bridge: Bridge
    extra: frozenset[str]

    def __str__(self) -> str:
        it = self.bridge
        return f"set bridge {it.name}: {_list(it.addresses)}, mtu {it.mtu}{_less(self.extra)}"


@dataclass(frozen=True)
class RemoveDevice:
    """A bridge, or a device that belongs to nothing, of the host."""

    name: str

    def __str__(self) -> str:
        return f"remove device {self.name}"


@dataclass(frozen=True)
class MakeLeg:
    """An interface in a sandbox, up; `leg.name` is its full name."""

    key: LegKey
    leg: Leg

    def __str__(self) -> str:
        it = self.leg
        return (
            f"make {it.name} in {self.key.sandbox}: {shown(self.key.mac)} {_list(it.addresses)} "
            f"on {it.on.value} {it.parent}, mtu {it.mtu}"
        )


@dataclass(frozen=True)
class SetLeg:
    """Its MTU, and up; addresses that it lacks, and those it should not have."""

    key: LegKey
    leg: Leg
    extra: frozenset[str]

    def __str__(self) -> str:
        it = self.leg
        return (
            f"set {it.name} in {self.key.sandbox}: {_list(it.addresses)}, "
            f"mtu {it.mtu}{_less(self.extra)}"
        )


@dataclass(frozen=True)
class RemoveLeg:
    """The interface, with its other end."""

    key: LegKey
    leg: Leg

    def __str__(self) -> str:
        return f"remove {self.leg.name} from {self.key.sandbox}"


@dataclass(frozen=True)
class SetRoute:
    """A sandbox's default route of the gateway's IP version."""

    sandbox: str
    gateway: str

    def __str__(self) -> str:
        return f"set default route in {self.sandbox}: via {self.gateway}"


@dataclass(frozen=True)
class RemoveRoute:
    """The default route by this gateway."""

    sandbox: str
    gateway: str

    def __str__(self) -> str:
        return f"remove default route in {self.sandbox}: via {self.gateway}"


@dataclass(frozen=True)
class PutEntries:
    """Entries that are new, or lead elsewhere."""

    tunnel: str
    entries: Entries

    def __str__(self) -> str:
        return f"put {_counted(self.entries)} of {self.tunnel}"


@dataclass(frozen=True)
class DropEntries:
    """Entries that nobody has any more."""

    tunnel: str
    entries: Entries

    def __str__(self) -> str:
        return f"drop {_counted(self.entries)} of {self.tunnel}"


@dataclass(frozen=True)
class WriteRules:
    """The packet filter's table, whole."""

    text: str

    def __str__(self) -> str:
        return "write the packet filter's table for bridges"


Operation = (
    MakeTunnel
    | SetTunnel
    | RemoveTunnel
    | MakeBridge
    | SetBridge
    | RemoveDevice
    | MakeLeg
    | SetLeg
    | RemoveLeg
    | SetRoute
    | RemoveRoute
    | PutEntries
    | DropEntries
    | WriteRules
)


def _list(addresses: Collection[str]) -> str:
    return " ".join(sorted(addresses)) or "no address"


def _less(extra: Collection[str]) -> str:
    return f", without {_list(extra)}" if extra else ""


def _counted(entries: Entries) -> str:
    macs = sum(len(key) == FORWARDING_KEY for key in entries)
    return f"{macs} forwarding and {len(entries) - macs} neighbour entries"
