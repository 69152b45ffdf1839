"""What CSI drivers answer, read with suspicion: bounded, and as the specification wants it. Pure.

Its limits (128 bytes for a text, 4 KiB for a map) are overstepped by drivers that work; what is
kept in the state of the swarm is bounded all the same.
"""

from collections.abc import Mapping, Sequence

from runtime.volume.controller import Listed, Made
from runtime.volume.csi.v1 import csi_pb2

_TEXT = 1024
_MAP = 16 << 10
_PLACES = 256
MAX_LISTED = 10_000


class Lie(Exception):
    """What is wrong with an answer, in a few words."""


def text(what: str, value: str) -> str:
    """A text that has to be there."""
    if not value:
        raise Lie(f"it tells no {what}")
    return limited(what, value)


def limited(what: str, value: str) -> str:
    """A text that may be empty."""
    if len(value) > _TEXT or not value.isprintable():
        raise Lie(f"its {what} is too long, or no text")
    return value


def table(what: str, values: Mapping[str, str]) -> dict[str, str]:
    """A map that goes to others with the volume."""
    if sum(len(key) + len(value) for key, value in values.items()) > _MAP:
        raise Lie(f"its {what} has more than {_MAP} characters")
    return dict(values)


def places(given: Sequence[csi_pb2.Topology]) -> tuple[Mapping[str, str], ...]:
    """A topology."""
    if len(given) > _PLACES:
        raise Lie(f"its topology has more than {_PLACES} places")
    return tuple(table("topology", place.segments) for place in given)


def made(volume: csi_pb2.Volume) -> Made:
    """A volume at the storage."""
    if volume.capacity_bytes < 0:
        raise Lie("its capacity is below nothing")
    return Made(
        text("volume_id", volume.volume_id),
        table("volume_context", volume.volume_context),
        volume.capacity_bytes,
        places(volume.accessible_topology),
    )


def fits(found: Made, required: int, limit: int) -> Made:
    """The volume, if it is as large as it was to be; a capacity of 0 says nothing."""
    if found.capacity_bytes and found.capacity_bytes < required:
        raise Lie(f"it has {found.capacity_bytes} bytes, and {required} were asked for")
    if limit and found.capacity_bytes > limit:
        raise Lie(f"it has {found.capacity_bytes} bytes, and may have {limit}")
    return found


def listed(entry: csi_pb2.ListVolumesResponse.Entry) -> Listed:
    """One of a list."""
    ids = entry.status.published_node_ids
    if len(ids) > MAX_LISTED:
        raise Lie(f"a volume is open to more than {MAX_LISTED} nodes")
    return Listed(made(entry.volume), tuple(limited("node id", id) for id in ids))
