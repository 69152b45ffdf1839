"""The rules that lead tasks to their name servers, kept as they were written. Blocks."""

import threading
from functools import partial
from pathlib import Path

from api.errors import SwarmError
from overlay_net.dns.redirect import TABLE, messages, ruleset
from overlay_net.nft import LibNft
from overlay_net.written import Written

_TABLE = f"ip {TABLE}"


class Redirects:
    """By the file of a task's network namespace. Any thread may call it."""

    def __init__(self, nft: LibNft) -> None:
        self._nft = nft
        self._written = Written(nft)
        self._ports: dict[Path, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def lead(self, target: Path, udp: int, tcp: int, /) -> None:
        """Fulfils dns.redirect.Leading."""
        with self._lock:
            self._write(target, (udp, tcp))
            self._ports[target] = udp, tcp

    def forget(self, target: Path) -> None:
        """The task has ended."""
        with self._lock:
            self._ports.pop(target, None)
            self._written.forget(target)

    def missing(self) -> list[Path]:
        """Whose rules are not as they were written."""
        with self._lock:
            return [
                target for target, ports in self._ports.items() if not self._stands(target, ports)
            ]

    def mend(self) -> list[str]:
        """Writes those anew; whose they were, in words."""
        told = []
        for target in self.missing():
            with self._lock:
                if (ports := self._ports.get(target)) is not None:
                    self._write(target, ports)
                    told.append(f"table {_TABLE} of {target.name} lacked rules")
        return told

    def _write(self, target: Path, ports: tuple[int, int]) -> None:
        send = partial(self._nft.send, target, messages(*ports))
        self._written.write(target, _TABLE, ruleset(*ports), send)

    def _stands(self, target: Path, ports: tuple[int, int]) -> bool:
        try:
            return self._written.stands(target, _TABLE, ruleset(*ports))
        except SwarmError:  # its task has just ended
            return True
