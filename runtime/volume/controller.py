"""What makes volumes at a storage and opens them to hosts, where that is another part than the one
that mounts them. It runs wherever its driver does, not on the host that is meant.

Repeating, time and errors are as in `driver`: a call that ended without an answer comes again with
the same words, and has the effect of one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from runtime.volume.driver import Access, Volume

Segments = Mapping[str, str]
"""A place in the driver's topology, as {"zone": "a"}."""


@dataclass(frozen=True, slots=True)
class NewVolume:
    """A volume that is to be. Sizes are bytes, 0: as the driver likes. `required`: it can be
    reached in one of these places at least; `preferred`: rather in the first.
    """

    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    access: Access = Access.SINGLE_WRITER
    block: bool = False
    required_bytes: int = 0
    limit_bytes: int = 0
    required: Sequence[Segments] = ()
    preferred: Sequence[Segments] = ()
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Made:
    """What was made: `handle` is the driver's own name for it, `context` goes with it to every
    host. Capacity 0: it does not say. No topology: it can be reached from everywhere.
    """

    handle: str
    context: Mapping[str, str] = field(default_factory=dict)
    capacity_bytes: int = 0
    topology: Sequence[Segments] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A volume at the storage, and the hosts that it is open to, if the driver tells."""

    made: Made
    host_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ControllerCapabilities:
    """What it can do. `opens`: hosts must be let in one by one, and can so be shut out."""

    makes: bool = False
    opens: bool = False
    lists: bool = False
    tells_capacity: bool = False


class VolumeController(Protocol):
    """See above."""

    @property
    def name(self) -> str:
        """The driver that it belongs to."""
        ...

    async def capabilities(self) -> ControllerCapabilities:
        """What it can do; UNSUPPORTED if this host has only the part that mounts."""
        ...

    async def create(self, new: NewVolume) -> Made:
        """Makes it; INVALID if another one of that name is there, or there cannot be such a one."""
        ...

    async def delete(self, handle: str, secrets: Mapping[str, bytes]) -> None:
        """Deletes it with its data; REFUSED while it is open to a host."""
        ...

    async def publish(self, volume: Volume, host_id: str) -> Mapping[str, str]:
        """Opens it to a host; what that host has to be told for it."""
        ...

    async def unpublish(self, volume: Volume, host_id: str) -> None:
        """Closes it to a host that does not use it any more."""
        ...

    async def fence(self, volume: Volume, host_id: str) -> None:
        """Closes it to a host that nobody hears of: as `VolumeDriver.fence`."""
        ...

    async def validate(self, volume: Volume) -> str:
        """Why it cannot be used as it says; empty: it can."""
        ...

    async def capacity(self, new: NewVolume, segments: Segments) -> int:
        """Bytes that are left for such volumes in a place; no segments: everywhere."""
        ...

    async def list(self) -> Sequence[Listed]:
        """All volumes at the storage, also those that others made."""
        ...


@runtime_checkable
class Controlled(Protocol):
    """A driver that has a controller."""

    @property
    def controller(self) -> VolumeController:
        """What makes its volumes."""
        ...
