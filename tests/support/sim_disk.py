"""A disk in memory that loses power between any two operations, and fails on request.

Obeys the contract of manager/raft/durable/disk.py to the letter, in the worst way: appended bytes
are lost unless synced, each name unless the folder was synced; a `Fate` decides what is left.
What was synced is never lost, torn or altered, except by `alter`.
"""

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

SECTOR_BYTES = 16
"""Much smaller than a real sector, so that small records tear too."""


class PowerCut(Exception):
    """The machine is off; every call raises this until `after_power_cut`."""


class Fate(Protocol):
    """What a power cut leaves of what was not synced."""

    def keeps_name(self) -> bool:
        """Whether one unsynced create, rename or remove has happened."""

    def tail(self, unsynced: bytes) -> bytes:
        """What is found in place of a file's unsynced bytes; at most as long."""


class Chance(Protocol):
    """Seeded chance; random.Random is one."""

    def randrange(self, stop: int, /) -> int: ...
    def randbytes(self, n: int, /) -> bytes: ...


@dataclass(slots=True)
class _File:
    data: bytearray
    durable: int = 0
    lost: bool = False  # a sync failed: what was not durable then never will be


@dataclass(frozen=True, slots=True)
class _Move:
    """A change of names: `file` is known as `new` and no more as `old`."""

    old: str
    new: str
    file: _File | None

    def apply(self, names: dict[str, _File]) -> None:
        if self.old and names.pop(self.old, None) is None:
            return  # what made the old name is lost
        if self.new and self.file is not None:
            names[self.new] = self.file


class SimDisk:
    """Counts operations. `cut_at`: the operation (from 0) that the power does not live to see."""

    def __init__(self, *, cut_at: int | None = None) -> None:
        self.cut_at = cut_at
        self.operations = 0
        self.log: list[str] = []
        self._names: dict[str, _File] = {}
        self._durable_names: dict[str, _File] = {}
        self._moves: list[_Move] = []
        self._failures: dict[str, int] = {}

    def fail_next(self, operation: str, error: int = errno.EIO) -> None:
        """The next call of `operation` fails with that errno, having done half of its work."""
        self._failures[operation] = error

    def after_power_cut(self, fate: Fate) -> "SimDisk":
        """The disk as it is found when the power is back."""
        names = dict(self._durable_names)
        for move in self._moves:
            if fate.keeps_name():
                move.apply(names)
        found = SimDisk()
        for name, file in names.items():
            left = file.data[: file.durable]
            if len(file.data) > file.durable:
                left += fate.tail(bytes(file.data[file.durable :]))
            found._names[name] = _File(left, len(left))
        found._durable_names = dict(found._names)
        return found

    def after_kill(self) -> "SimDisk":
        """The same disk for the next process: the kernel still knows what was not synced."""
        found = SimDisk()
        found._names, found._durable_names = self._names, self._durable_names
        found._moves = self._moves
        for file in self._names.values():
            if file.lost:
                del file.data[file.durable :]  # a read past the cache, as DirectoryDisk does it
                file.lost = False
        return found

    def alter(self, name: str, data: bytes) -> None:
        """Replaces a file behind everybody's back."""
        file = _File(bytearray(data), len(data))
        self._names[name] = self._durable_names[name] = file

    def discard(self, name: str) -> None:
        """Loses a file behind everybody's back."""
        del self._names[name], self._durable_names[name]

    def copy(self) -> "SimDisk":
        """An independent disk with the same files; everything is durable on it."""
        twin = SimDisk()
        for name, file in self._names.items():
            twin.alter(name, bytes(file.data))
        return twin

    def create(self, name: str) -> None:
        _raise(self._step("create", name), name)
        if name in self._names:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        self._move("", name, _File(bytearray()))

    def append(self, name: str, data: bytes) -> None:
        failure = self._step("append", name)
        self._file(name).data += data[: len(data) // 2] if failure else data
        _raise(failure, name)

    def fdatasync(self, name: str) -> None:
        failure = self._step("fdatasync", name)
        file = self._file(name)
        if failure:
            file.lost = True
        elif not file.lost:
            file.durable = len(file.data)
        _raise(failure, name)

    def truncate(self, name: str, length: int) -> None:
        _raise(self._step("truncate", name), name)
        file = self._file(name)
        del file.data[length:]
        file.durable = len(file.data)

    def rename(self, old: str, new: str) -> None:
        _raise(self._step("rename", f"{old} {new}"), old)
        self._move(old, new, self._file(old))

    def remove(self, name: str) -> None:
        _raise(self._step("remove", name), name)
        self._file(name)
        self._move(name, "", None)

    def close(self, name: str) -> None:
        self._check_power()

    def fsync_dir(self) -> None:
        _raise(self._step("fsync_dir", ""), ".")
        self._durable_names = dict(self._names)
        self._moves.clear()

    def list(self) -> list[str]:
        self._check_power()
        return sorted(self._names)

    def read(self, name: str) -> bytes:
        self._check_power()
        return bytes(self._file(name).data)

    def _file(self, name: str) -> _File:
        if name not in self._names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return self._names[name]

    def _move(self, old: str, new: str, file: _File | None) -> None:
        move = _Move(old, new, file)
        move.apply(self._names)
        self._moves.append(move)

    def _step(self, operation: str, arguments: str) -> int:
        self._check_power()
        self.operations += 1
        self.log.append(f"{operation} {arguments}".rstrip())
        return self._failures.pop(operation, 0)

    def _check_power(self) -> None:
        if self.cut_at is not None and self.operations >= self.cut_at:
            raise PowerCut


def _raise(error: int, name: str) -> None:
    if error:
        raise OSError(error, os.strerror(error), name)


class Kept:
    """Everything had reached the disk by itself."""

    def keeps_name(self) -> bool:
        return True

    def tail(self, unsynced: bytes) -> bytes:
        return unsynced


class Lost(Kept):
    """Nothing had."""

    def keeps_name(self) -> bool:
        return False

    def tail(self, unsynced: bytes) -> bytes:
        return b""


class Halved(Kept):
    """Half of the bytes had."""

    def tail(self, unsynced: bytes) -> bytes:
        return unsynced[: len(unsynced) // 2]


class Zeroed(Kept):
    """The new length had, the bytes had not."""

    def tail(self, unsynced: bytes) -> bytes:
        return bytes(len(unsynced))


class LateOnly(Kept):
    """The bytes had reached it in reverse order: the last ones are there, the first are zeros."""

    def tail(self, unsynced: bytes) -> bytes:
        cut = len(unsynced) // 2
        return bytes(cut) + unsynced[cut:]


class Garbage(Kept):
    """The length had, and the blocks still hold what somebody else wrote."""

    def tail(self, unsynced: bytes) -> bytes:
        return (b"\xd7RECstale block\xff" * (len(unsynced) // 8 + 1))[: len(unsynced)]


FATES: tuple[Fate, ...] = (Kept(), Lost(), Halved(), Zeroed(), LateOnly(), Garbage())


class Dice:
    """Each name by chance; each sector kept, zeroed or garbled by chance, any length."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance

    def keeps_name(self) -> bool:
        return self._chance.randrange(2) == 0

    def tail(self, unsynced: bytes) -> bytes:
        whole = b"".join(self._sectors(unsynced))
        return whole[: self._chance.randrange(len(whole) + 1)] if self.keeps_name() else whole

    def _sectors(self, unsynced: bytes) -> Iterable[bytes]:
        for start in range(0, len(unsynced), SECTOR_BYTES):
            sector = unsynced[start : start + SECTOR_BYTES]
            yield (sector, sector, bytes(len(sector)), self._chance.randbytes(len(sector)))[
                self._chance.randrange(4)
            ]
