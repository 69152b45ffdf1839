"""On whose behalf a manager passes a call on to the leader, as metadata of the call. Pure.

A follower has let its caller in; the leader believes what it says of the caller because a manager
says it, and from nobody else (manager/ca/authorize.py).
"""

from collections.abc import Iterable
from typing import Any

from api.errors import invalid
from api.identity import EVERY_ROLE
from api.serving import Caller

FORWARDED = "swarm-forwarded"
"""Set on every call that was passed on."""
_CALLER = "swarm-caller-bin"

Metadata = tuple[tuple[str, str | bytes], ...]


def on_behalf(who: Caller | None) -> Metadata:
    """The metadata of a call that is passed on for `who`; None: for somebody without a name."""
    if who is None:
        return ((FORWARDED, "1"),)
    return ((FORWARDED, "1"), (_CALLER, f"{who.role} {who.id}".encode()))


def is_forwarded(metadata: Iterable[Any] | None) -> bool:
    """Whether another manager has passed this call on."""
    return any(key == FORWARDED for key, _ in metadata or ())


def behind(peer: Caller, metadata: Iterable[Any] | None) -> Caller:
    """Who asks: the one that the manager `peer` names, or `peer` itself.

    INVALID if the name is malformed.
    """
    for key, value in metadata or ():
        if key == _CALLER and peer.role == "manager":
            role, _, identity = bytes(value).decode(errors="replace").partition(" ")
            for known in EVERY_ROLE:
                if known == role:
                    return Caller(known, identity, peer.cluster_id, "tls")
            raise invalid("caller", f"{role!r} is no role")
    return peer
