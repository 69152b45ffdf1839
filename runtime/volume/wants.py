"""What a container asks of the volumes of its host. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class OwnVolume:
    """A volume of the host's own. `owner`: the container with which an anonymous one goes."""

    name: str
    driver: str
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    created_at: float = 0.0

    @property
    def volume(self) -> Volume:
        """As its driver knows it."""
        return Volume(self.name, self.options, self.labels)


def own_key(name: str) -> str:
    """The key of a volume that is the host's own."""
    return f"own/{name}"
