"""The steps from what the encryption of a host is to what it ought to be; printed, a plan. Pure.

They say what is to be done, never do it, and name public keys alone.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass

from overlay_net.encrypt.picture import Device, Guard, Peer


@dataclass(frozen=True)
class WriteGuard:
    """The packet filter's table, whole; None removes it."""

    guard: Guard | None

    def __str__(self) -> str:
        if self.guard is None:
            return "stop dropping frames in clear"
        networks = ", ".join(map(str, sorted(self.guard.vnis)))
        return f"drop frames in clear of networks {networks}"


@dataclass(frozen=True)
class Bar:
    """Tunnel ends are unreachable but by the device; or no longer."""

    barred: bool

    def __str__(self) -> str:
        return f"{'bar' if self.barred else 'unbar'} the way to tunnel ends"


@dataclass(frozen=True)
class MakeDevice:
    """The device, in place of any of its name; it has no key, and is down. `port`: it will need."""

    port: int

    def __str__(self) -> str:
        return "make the WireGuard device"


@dataclass(frozen=True)
class SetKey:
    """The device's key and port. With another key, all that was agreed with peers is void."""

    device: Device

    def __str__(self) -> str:
        return f"use key {shown(self.device.key)} on port {self.device.port}"


@dataclass(frozen=True)
class SetDevice:
    """The device's address and MTU, and up."""

    device: Device

    def __str__(self) -> str:
        return f"give the device {self.device.address}, mtu {self.device.mtu}, and bring it up"


@dataclass(frozen=True)
class LetGoFirst:
    """Nodes that have another key change over before this one follows: what they send meanwhile
    waits until it does, and what they sent by their former key after that would be lost.
    """

    addresses: tuple[str, ...]

    def __str__(self) -> str:
        return f"let {_listed(self.addresses)} change keys first"


@dataclass(frozen=True)
class SetPeers:
    """Peers that are new or otherwise, and those that are peers no longer.

    `wake`: keys of all with whom a new key has to be agreed at once, not with the next packet.
    """

    put: tuple[Peer, ...]
    drop: tuple[bytes, ...]
    wake: tuple[bytes, ...] = ()

    def __str__(self) -> str:
        words = [f"{peer.address} at {peer.endpoint[0]}" for peer in self.put]
        return f"put {_listed(words)}, drop {_listed(map(shown, self.drop))}"


@dataclass(frozen=True)
class RemoveDevice:
    """The device, and who carries it."""

    def __str__(self) -> str:
        return "remove the WireGuard device"


Operation = (
    WriteGuard | Bar | MakeDevice | SetKey | SetDevice | LetGoFirst | SetPeers | RemoveDevice
)


def shown(key: bytes) -> str:
    """A public key as people write it."""
    return base64.b64encode(key).decode()


def _listed(words: Iterable[str]) -> str:
    return " ".join(words) or "nobody"
