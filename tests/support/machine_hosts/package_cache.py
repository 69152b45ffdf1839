"""What was fetched from the mirrors, kept on disk under the digest of its address."""

import hashlib
import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import httpx

_LIMIT = 512 << 20
"""Bytes of one file; what is longer is given up."""
_TIMEOUT = 60.0
_UNUSED = 30 * 86400.0


class Absent(Exception):
    """The mirror has no such file; the number is its answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class PackageCache:
    """Fetches every file once, however many ask for it at the same time."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._folder = folder
        self._client = httpx.Client(
            timeout=_TIMEOUT, follow_redirects=True, headers={"Accept-Encoding": "identity"}
        )
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._asked: set[str] = set()
        self._forget_unused()

    def close(self) -> None:
        """Ends its connections."""
        self._client.close()

    def file(
        self, address: str, *, changes: bool, headers: Mapping[str, str] | None = None
    ) -> Path:
        """The file at `address`; Absent if the mirror says so.

        What `changes` is fetched once more by each cache, and the kept one serves if that fails.
        """
        name = hashlib.sha256(address.encode()).hexdigest()
        kept = self._folder / name[:2] / name
        with self._locks[name]:
            if kept.exists() and (not changes or name in self._asked):
                os.utime(kept)
                return kept
            try:
                self._fetch(address, kept, headers or {})
            except httpx.TransportError:
                if not kept.exists():
                    raise
            self._asked.add(name)
            return kept

    def _fetch(self, address: str, target: Path, headers: Mapping[str, str]) -> None:
        target.parent.mkdir(exist_ok=True)
        with self._client.stream("GET", address, headers=dict(headers)) as answer:
            if answer.status_code != httpx.codes.OK:
                raise Absent(answer.status_code)
            with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as part:
                try:
                    length = 0
                    for piece in answer.iter_bytes():
                        length += len(piece)
                        if length > _LIMIT:
                            raise Absent(httpx.codes.INSUFFICIENT_STORAGE)
                        part.write(piece)
                    part.flush()
                    os.rename(part.name, target)
                except BaseException:
                    os.unlink(part.name)
                    raise

    def _forget_unused(self) -> None:
        for each in self._folder.glob("*/*"):
            if time.time() - each.stat().st_mtime > _UNUSED:
                each.unlink(missing_ok=True)
