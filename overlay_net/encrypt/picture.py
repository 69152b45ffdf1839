"""What the encryption of a host is made of: one set of words for what it is and is to be. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Endpoint = tuple[str, int]
"""Address and UDP port on the underlay."""


@dataclass(frozen=True)
class Peer:
    """Another node: its public key, where it is, and its tunnel end, the one address it may use."""

    key: bytes
    endpoint: Endpoint
    address: str


@dataclass(frozen=True)
class Device:
    """The WireGuard device of this host. `address`: of its tunnel end, without prefix length."""

    key: bytes  # public
    port: int
    address: str
    mtu: int
    up: bool = True


@dataclass(frozen=True)
class Guard:
    """What must not be seen in clear: frames of these networks to and from this VXLAN port."""

    device: str
    port: int
    vnis: frozenset[int]


@dataclass(frozen=True)
class Picture:
    """`peers`: by public key; `barred`: whether tunnel ends are unreachable but by the device.

    `guard`: None also where it is not known. `remains`: there is a device that is not whole.
    """

    device: Device | None = None
    peers: Mapping[bytes, Peer] = field(default_factory=dict)
    barred: bool = False
    guard: Guard | None = None
    remains: bool = False
