"""Whom an operator's authority gave client certificates, and whose were revoked. Pure.

What has expired is forgotten: nobody would take it anyway.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from api.errors import Code, SwarmError


@dataclass(frozen=True)
class Issued:
    """One client certificate. Times in seconds since 1970; `revoked`: 0 if it is not."""

    person: str
    serial: int
    not_after: float
    revoked: float = 0.0
    authority: int = 0  # serial of the certificate of the one that signed; 0: not written down


def encoded(entries: Iterable[Issued], now: float) -> bytes:
    """The content of the file, without what has expired."""
    current = [asdict(each) for each in entries if each.not_after > now]
    return json.dumps(current, indent=2).encode() + b"\n"


def decoded(content: bytes | None, where: str) -> tuple[Issued, ...]:
    """The entries; none if there is no file; INVALID if it is damaged."""
    try:
        return tuple(
            Issued(
                str(e["person"]),
                int(e["serial"]),
                float(e["not_after"]),
                float(e["revoked"]),
                int(e.get("authority", 0)),
            )
            for e in (json.loads(content) if content is not None else [])
        )
    except (ValueError, KeyError, TypeError) as error:
        raise SwarmError(
            Code.INVALID,
            f"{where} is damaged",
            why=f"{type(error).__name__}: {error}",
            remedy="put back a copy of it: without it nobody's certificate can be revoked",
        ) from None


def without(entries: Sequence[Issued], person: str, now: float) -> tuple[Issued, ...]:
    """The entries with all of a person's revoked; NOT_FOUND if there is none that still counts."""
    if not any(each.person == person and not each.revoked for each in entries):
        known = ", ".join(sorted({each.person for each in entries if not each.revoked}))
        raise SwarmError(
            Code.NOT_FOUND,
            f"{person} has no certificate for these machines",
            why=f"those who have: {known or 'nobody'}",
        )
    return tuple(
        replace(each, revoked=now) if each.person == person and not each.revoked else each
        for each in entries
    )
