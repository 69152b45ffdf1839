"""Which Debian bare hosts are of: bookworm, unless the environment's SUITE names another."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """A release of Debian, as its mirror calls it."""

    name: str
    version: str
    python: str  # of its package python3

    def sources(self, debian: str, security: str) -> str:
        """apt's list of its packages, from two mirrors: releases and updates, security."""
        return "".join(self._lines(debian, security))

    def _lines(self, debian: str, security: str) -> Iterator[str]:
        for mirror, archive in (
            (debian, self.name),
            (debian, f"{self.name}-updates"),
            (security, f"{self.name}-security"),
        ):
            yield f"deb {mirror} {archive} main\n"


BOOKWORM = Suite("bookworm", "12", "3.11")
TRIXIE = Suite("trixie", "13", "3.13")
_KNOWN = {each.name: each for each in (BOOKWORM, TRIXIE)}


def chosen(environment: Mapping[str, str] = os.environ) -> Suite:
    """The suite that SUITE names. ValueError if hosts of it cannot be made."""
    name = environment.get("SUITE") or BOOKWORM.name
    if name not in _KNOWN:
        raise ValueError(f"SUITE={name}: hosts are of {' or '.join(_KNOWN)}")
    return _KNOWN[name]
