"""A node's WireGuard keys while its daemon runs: on the disk first, then in use. A thin shell."""

import logging
import secrets
from collections.abc import Callable

from hostkit.clock import Clock
from overlay_net.encrypt.key_file import KeyFile
from overlay_net.encrypt.keys import KeyPair, Keys, fresh
from overlay_net.encrypt.operations import shown

log = logging.getLogger(__name__)

AGE = 7 * 86400.0
"""Seconds after which a key is replaced, if nothing else is said."""


class KeyRing:
    """`chance`: from 0 to 1; `age`: seconds."""

    def __init__(
        self, file: KeyFile, wall: Clock, chance: Callable[[], float], *, age: float = AGE
    ) -> None:
        self._file = file
        self._wall = wall
        self._chance = chance
        self._age = age
        self._keys: Keys | None = None
        self._round = 0

    @property
    def published(self) -> bytes:
        """The public key that the managers are to tell; empty if there is none."""
        return b"" if self._keys is None else self._keys.published

    def open(self) -> None:
        """Finds the keys, or makes the first. OSError or SwarmError if it cannot."""
        if self._keys is None:
            self._keys = self._file.load() or self._kept(self._fresh())

    def used(self, told: bytes) -> KeyPair:
        """The one to use, now that the managers tell this public key of the node. `open` first."""
        assert self._keys is not None  # noqa: S101
        keys = self._keys.heard(told)
        if keys != self._keys:
            self._keys = self._kept(keys)
            log.info("this node's network key is %s from now on", shown(told))
        return keys.current

    def rotate(self, round: int = 0) -> bool:
        """Makes another key if the newest is old, or of an earlier round; whether it did. OSError
        leaves it as it was.
        """
        self._round = max(self._round, round)  # that must not be lost while a key is coming
        keys = self._keys
        if keys is None or not keys.is_due(self._wall(), self._age, self._round):
            return False
        self._keys = self._kept(keys.with_coming(self._fresh(), self._round))
        return True

    def forget(self) -> None:
        """There are no keys any more, here and on the disk."""
        self._keys, self._round = None, 0
        self._file.remove()

    def _fresh(self) -> Keys:
        return fresh(secrets.token_bytes, self._wall(), self._chance())

    def _kept(self, keys: Keys) -> Keys:
        self._file.save(keys)
        return keys
