"""What a container asks of the volumes of its host."""

from dataclasses import dataclass

from runtime.volume.driver import Volume


@dataclass(frozen=True, slots=True)
class Lease:
    """For how long a volume may be used: until a moment of CLOCK_BOOTTIME, and by how many seconds
    a renewal prolongs it.
    """

    until: float
    term: float


@dataclass(frozen=True, slots=True)
class Want:
    """A volume as a container needs it. `key`: what it is mounted once for, whoever needs it."""

    key: str
    driver: str
    volume: Volume
    lease: Lease | None = None


def own_key(name: str) -> str:
    """The key of a volume that is the host's own."""
    return f"own/{name}"
