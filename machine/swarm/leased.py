"""The way to a host for as long as its lock is certainly ours (docs/decisions/0040)."""

from collections.abc import Callable, Sequence
from pathlib import Path

from hostkit.process import Completed
from machine.remote import Remote
from machine.swarm.lock import Lock


class LeasedRemote:
    """Remote over another one: each call is begun under the lock only, CONFLICT if that was lost.

    What runs already goes on to its end.
    """

    def __init__(self, way: Remote, lock: Lock) -> None:
        self._way = way
        self._lock = lock

    @property
    def name(self) -> str:
        """See Remote."""
        return self._way.name

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float,
        limit: int = 1 << 20,
        tell: Callable[[str], None] | None = None,
    ) -> Completed:
        """See Remote."""
        await self._lock.make_sure(self.name)
        return await self._way.run(argv, stdin=stdin, timeout=timeout, limit=limit, tell=tell)

    async def read(self, path: str, *, limit: int = 1 << 20) -> bytes | None:
        """See Remote."""
        await self._lock.make_sure(self.name)
        return await self._way.read(path, limit=limit)

    async def write(
        self, path: str, content: bytes, *, mode: int, owner: str = "root:root"
    ) -> None:
        """See Remote."""
        await self._lock.make_sure(self.name)
        await self._way.write(path, content, mode=mode, owner=owner)

    async def upload(
        self, source: Path, path: str, *, mode: int, tell: Callable[[int], None] | None = None
    ) -> None:
        """See Remote."""
        await self._lock.make_sure(self.name)
        await self._way.upload(source, path, mode=mode, tell=tell)

    async def close(self) -> None:
        """See Remote."""
        await self._way.close()
