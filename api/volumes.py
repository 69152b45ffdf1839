"""The rules of volumes of the swarm that need no cluster to be known: words, access, the term of
their leases. Pure. Managers refuse by them what no node could do, and both sides count by them.
"""

import re

from api import wellformed
from api.errors import invalid
from api.times import seconds_of
from api.v1 import specs_pb2

Spec = specs_pb2.VolumeSpec

LOCAL = "local"
"""The driver whose volumes are on one node: where they were first used."""
GROUP = "group:"
"""What a mount's source begins with that takes any volume of a group."""
DEFAULT_TERM = 10.0
SHORTEST_TERM, LONGEST_TERM = 5.0, 3600.0
"""Seconds of a lease. Ours: a shorter one would end with each change of leader."""
SHORTEST_MARGIN = 1.0
MARGIN = 0.1
"""Of a term: by how much clocks may differ."""
BEATS = 4
"""Heartbeats in a term, at the least: some may be lost."""

_TOPOLOGIES = ("topology_required", "topology_preferred")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_NAME_LENGTH = 64
_ACCESS = {
    "single-writer": Spec.ACCESS_SINGLE_WRITER,
    "many-readers": Spec.ACCESS_MANY_READERS,
    "many-writers": Spec.ACCESS_MANY_WRITERS,
}
ACCESS_WORDS = tuple(_ACCESS)


def driver_of(spec: Spec) -> str:
    """The volume's driver."""
    return spec.driver or LOCAL


def term_of(spec: Spec) -> float:
    """Seconds for which a renewal of its lease lasts."""
    return seconds_of(spec.lease_term) if spec.HasField("lease_term") else DEFAULT_TERM


def margin_of(term: float) -> float:
    """Seconds that managers wait beyond a term, for clocks that do not run alike."""
    return max(SHORTEST_MARGIN, MARGIN * term)


def access_of(word: str) -> Spec.Access.ValueType | None:
    """The access that the word means, as single-writer; None if there is no such word."""
    return _ACCESS.get(word)


def access_word(access: int) -> str:
    """The word for it."""
    return (
        Spec.Access.Name(Spec.Access.ValueType(access))
        .removeprefix("ACCESS_")
        .lower()
        .replace("_", "-")
    )


def sharing_word(sharing: int) -> str:
    """Docker's word for it: all, none, readonly, onewriter."""
    return Spec.Sharing.Name(Spec.Sharing.ValueType(sharing)).removeprefix("SHARING_").lower()


def availability_word(availability: int) -> str:
    """The word for it: active, pause, drain."""
    name = Spec.Availability.Name(Spec.Availability.ValueType(availability))
    return name.removeprefix("AVAILABILITY_").lower()


def check(spec: Spec) -> None:
    """Refuses a volume that no driver could make, or no lease could hold."""
    wellformed.check(spec)
    _name("annotations.name", spec.annotations.name, "volume")
    if spec.group:
        _name("group", spec.group, "group")
    if spec.driver and not _NAME.fullmatch(spec.driver.replace("/", "-").replace(":", "-")):
        raise invalid("driver", f"{spec.driver!r} is no name of a driver")
    if driver_of(spec) == LOCAL and spec.access != Spec.ACCESS_SINGLE_WRITER:
        raise invalid(
            "access",
            "a volume of driver local is for the tasks of one node",
            why="its data is on that node alone",
            remedy="leave out --access, or use a driver whose storage all nodes reach",
        )
    _sharing(spec)
    _numbers(spec)
    if driver_of(spec) == LOCAL:
        _refuse_of_local(spec)
    for index, secret in enumerate(spec.secrets):
        if not secret.key or not secret.secret:
            raise invalid(f"secrets[{index}]", "a key and the name of a secret are needed")
    for name in _TOPOLOGIES:
        for index, each in enumerate(getattr(spec, name)):
            if not each.segments:
                raise invalid(f"{name}[{index}]", "names no segment", remedy="give KEY=VALUE")


def _sharing(spec: Spec) -> None:
    narrow = spec.sharing in (Spec.SHARING_NONE, Spec.SHARING_ONEWRITER)
    if narrow and spec.access != Spec.ACCESS_SINGLE_WRITER:
        raise invalid(
            "sharing",
            f"{sharing_word(spec.sharing)} cannot be held to across nodes",
            why="a node that is cut off goes on while its task begins on another",
            remedy="use access single-writer, or sharing all",
        )


def _refuse_of_local(spec: Spec) -> None:
    """What only a driver with a storage of its own hears of."""
    for field in ("required_bytes", "limit_bytes", "secrets", *_TOPOLOGIES):
        if getattr(spec, field):
            raise invalid(
                field,
                "has no meaning for a volume of driver local",
                why="it is a directory of the node where it is first used",
                remedy="leave it out, or use a driver that makes volumes at a storage",
            )


def _numbers(spec: Spec) -> None:
    if spec.required_bytes < 0 or spec.limit_bytes < 0:
        raise invalid("required_bytes", "sizes must not be negative")
    if 0 < spec.limit_bytes < spec.required_bytes:
        raise invalid("limit_bytes", "is less than what is required")
    if spec.HasField("lease_term") and not SHORTEST_TERM <= term_of(spec) <= LONGEST_TERM:
        raise invalid(
            "lease_term",
            f"a lease of {term_of(spec):g} s cannot be kept",
            remedy=f"use {SHORTEST_TERM:g} to {LONGEST_TERM:g} s",
        )


def _name(field: str, name: str, what: str) -> None:
    if len(name) > _NAME_LENGTH or not _NAME.fullmatch(name):
        raise invalid(
            field,
            f"{name!r} is no valid name of a {what}" if name else f"a {what} needs a name",
            remedy=f"use up to {_NAME_LENGTH} letters, digits, -, _ and ., with a letter or digit "
            "at the beginning",
        )
