"""The rules that lead tasks to their name servers, kept as they were written. Blocks."""

import threading
from pathlib import Path

from api.errors import SwarmError
from overlay_net.dns.redirect import TABLE
from overlay_net.nft import Nft
from overlay_net.written import Written

_TABLE = f"ip {TABLE}"


class Redirects:
    """By the file of a task's network namespace. Any thread may call it."""

    def __init__(self, nft: Nft) -> None:
        self._written = Written(nft)
        self._texts: dict[Path, str] = {}
        self._lock = threading.Lock()

    def run(self, target: Path, text: str, /) -> None:
        """Fulfils dns.redirect.Nft: these commands make a task's rules."""
        with self._lock:
            self._written.write(target, _TABLE, text)
            self._texts[target] = text

    def forget(self, target: Path) -> None:
        """The task has ended."""
        with self._lock:
            self._texts.pop(target, None)
            self._written.forget(target)

    def missing(self) -> list[Path]:
        """Whose rules are not as they were written."""
        with self._lock:
            return [
                target for target, text in self._texts.items() if not self._stands(target, text)
            ]

    def mend(self) -> list[str]:
        """Writes those anew; whose they were, in words."""
        told = []
        for target in self.missing():
            with self._lock:
                if (text := self._texts.get(target)) is not None:
                    self._written.write(target, _TABLE, text)
                    told.append(f"table {_TABLE} of {target.name} lacked rules")
        return told

    def _stands(self, target: Path, text: str) -> bool:
        try:
            return self._written.stands(target, _TABLE, text)
        except SwarmError:  # its task has just ended
            return True
