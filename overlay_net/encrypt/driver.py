"""What carries a WireGuard device, and what can be set on one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from overlay_net.encrypt.keys import KeyPair
from overlay_net.encrypt.picture import Endpoint, Peer

KEEPALIVE = 25
"""Seconds after which a peer hears from us at the latest, so that firewalls keep the way open."""


@dataclass(frozen=True)
class Configured:
    """What a device has: its public key, its port, and its peers by key."""

    key: bytes
    port: int
    peers: Mapping[bytes, Peer] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """What is to be set, in this order; what is not named stays.

    `wake`: keys of peers with whom a new session is agreed at once. So it is with those of `put`.
    """

    own: KeyPair | None = None
    port: int | None = None
    put: tuple[Peer, ...] = ()
    drop: tuple[bytes, ...] = ()
    wake: tuple[bytes, ...] = ()


class Driver(Protocol):
    """Makes the one device, of a name and in a namespace that it was made for."""

    title: str
    """What it is, for people."""
    is_slow: bool
    """Whether it costs so much speed that people have to be told."""

    def read(self) -> Configured | None:
        """What the device has; None if it is not there, is another's, or does not answer."""

    def make(self) -> None:
        """Makes it, where nothing is of its name. SwarmError or OSError if that fails."""

    def clear(self) -> None:
        """Ends what is left of a device that was deleted."""

    def configure(self, change: Change) -> None:
        """Sets that. SwarmError or OSError if that fails."""


class PeerRead:
    """A peer that is being read, whatever its driver."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.endpoint: Endpoint = ("", 0)
        self.allowed: list[str] = []

    def peer(self) -> Peer:
        """One that may use other than one address is like none that is ever wished."""
        only = self.allowed[0] if len(self.allowed) == 1 else ""
        return Peer(self.key, self.endpoint, only.removesuffix("/128"))
