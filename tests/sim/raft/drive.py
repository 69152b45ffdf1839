"""The disk of one machine while one process uses it: SimDisk, and what goes wrong with it.

Keeps account of what is durable, independently of the log that writes it.
"""

import errno
import os
from random import Random

from tests.support.sim_disk import Fate, PowerCut, SimDisk


class Drive:
    """Fulfils manager.raft.durable.disk.Disk.

    `proven`: of each file, the bytes of which a durable later record says that they were durable.
    Damage there is always found; in what was written last it cannot be told from a torn write.
    """

    def __init__(self, disk: SimDisk, proven: dict[str, int] | None = None) -> None:
        self.disk = disk
        self.full = False
        self.dirty = False
        """Whether something was appended that no sync has made durable."""
        self.appends = 0
        self.failing = ""
        """The operation whose next call fails."""
        self.syncs_until_cut = -1
        self.cut_after_sync = False
        self.proven = proven if proven is not None else {}
        self._size: dict[str, int] = {}
        self._durable: dict[str, int] = {}
        self._claimed: dict[str, int] = {}

    def cut_at_sync(self, number: int, *, after: bool) -> None:
        """The power goes at the sync after `number` others, before it or when it is done."""
        self.syncs_until_cut = number
        self.cut_after_sync = after

    def heal(self) -> None:
        """Nothing is to go wrong any more."""
        self.full = False
        self.failing = ""
        self.syncs_until_cut = -1
        self.disk.cut_at = None

    def lose_power(self, fate: Fate) -> None:
        """The process is gone, and whatever the fate does not keep."""
        self._next(self.disk.after_power_cut(fate))

    def kill(self) -> None:
        """The process is gone; the kernel still knows all."""
        self._next(self.disk.after_kill())

    def damage(self, random: Random) -> str:
        """Changes a durable byte that can be told from a torn write; says which, "" if none."""
        self.disk.cut_at = None
        last = max((name for name in self.disk.list() if name.endswith(".wal")), default="")
        spans = {name: self._span(name, last) for name in self.disk.list()}
        names = [name for name, span in spans.items() if span]
        if not names:
            return ""
        name = random.choice(names)
        data = bytearray(self.disk.read(name))
        at = random.randrange(spans[name])
        data[at] ^= 1 << random.randrange(8)
        self.disk.alter(name, bytes(data))
        return f"byte {at} of {name}"

    def _span(self, name: str, last: str) -> int:
        if name.endswith(".tmp"):
            return 0
        length = len(self.disk.read(name))
        return min(length, self.proven.get(name, 0)) if name == last else length

    def _next(self, disk: SimDisk) -> None:
        self.disk = disk
        self.full = self.dirty = False
        self.failing = ""
        self.syncs_until_cut = -1
        self._size, self._durable, self._claimed = {}, {}, {}

    def create(self, name: str) -> None:
        self._needs_space(name)
        self.disk.create(name)
        self._size[name] = 0

    def append(self, name: str, data: bytes) -> None:
        self._needs_space(name)
        self._may_fail("append")
        self.disk.append(name, data)
        self.dirty = True
        self.appends += 1
        self._claimed[name] = self._durable.get(name, 0)
        self._size[name] = self._size.get(name, 0) + len(data)

    def fdatasync(self, name: str) -> None:
        if self.syncs_until_cut == 0 and not self.cut_after_sync:
            self._cut()
        self._may_fail("fdatasync")
        self.disk.fdatasync(name)
        self.dirty = False
        if name in self._size:
            self._durable[name] = self._size[name]
            self.proven[name] = self._claimed.get(name, 0)
        if self.syncs_until_cut == 0:
            self._cut()
        self.syncs_until_cut -= 1

    def truncate(self, name: str, length: int) -> None:
        self.disk.truncate(name, length)

    def rename(self, old: str, new: str) -> None:
        self._may_fail("rename")
        self.disk.rename(old, new)
        for account in (self._size, self._durable, self._claimed, self.proven):
            if old in account:
                account[new] = account.pop(old)

    def remove(self, name: str) -> None:
        self.disk.remove(name)
        self.proven.pop(name, None)

    def close(self, name: str) -> None:
        self.disk.close(name)

    def fsync_dir(self) -> None:
        self._may_fail("fsync_dir")
        self.disk.fsync_dir()

    def list(self) -> list[str]:
        return self.disk.list()

    def read(self, name: str) -> bytes:
        return self.disk.read(name)

    def _needs_space(self, name: str) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    def _may_fail(self, operation: str) -> None:
        if self.failing == operation:
            self.failing = ""
            self.disk.fail_next(operation)

    def _cut(self) -> None:
        self.disk.cut_at = self.disk.operations
        raise PowerCut
