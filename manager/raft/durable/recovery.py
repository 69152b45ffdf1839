"""Reads the log back after a stop or a crash: which files, in which order, what they add up to.

Changes nothing but what a crash left half done, and that only once all the rest has been read and
believed: a torn tail is cut, temporary files are removed. Everything else that does not fit is
refused.
"""

import logging
import re
from dataclasses import dataclass, field
from itertools import pairwise

from api.errors import SwarmError
from api.v1.raft_pb2 import Entry, HardState
from manager.raft.durable import damage, record
from manager.raft.durable.disk import Disk
from manager.raft.durable.file_header import Owner
from manager.raft.durable.keyring import Keys
from manager.raft.durable.outline import Outline
from manager.raft.durable.segment import Segment, scan

logger = logging.getLogger(__name__)

TEMPORARY = ".wal.tmp"
_NAME = re.compile(r"([0-9]{16})\.wal")


def file_name(number: int) -> str:
    """The file of segment `number`; names sort as numbers do."""
    return f"{number:016d}.wal"


@dataclass(slots=True)
class Recovery:
    """The log as found. `segments`: (number, index of the entry last saved in it), in order.

    What a segment saved above that index it has itself overwritten.
    """

    outline: Outline
    entries: list[Entry] = field(default_factory=list)
    segments: list[tuple[int, int]] = field(default_factory=list)
    last_is_empty: bool = False
    """The last segment holds its preamble alone: it can be replaced under its own number."""


def recover(disk: Disk, owner: Owner, keys: Keys | None) -> Recovery:
    """Reads all segments. What it returns is durable. SwarmError if they cannot be trusted."""
    names = disk.list()
    numbers = sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))
    _check_no_gap(numbers)
    replay = Replay()
    for number in numbers:
        last = number == numbers[-1]
        name = file_name(number)
        if last:
            # A killed process may have left bytes that are in the page cache only. Whoever reads
            # them from us will count on them, so they are made durable before they are believed.
            disk.fdatasync(name)
        data = disk.read(name)
        segment = scan(name, data, number, owner, keys, last=last)
        replay.add(name, segment)
        if last:
            replay.check_complete(file_name(numbers[0]))
            _cut(disk, name, segment.whole, len(data))
    for name in names:
        if name.endswith(TEMPORARY):
            disk.remove(name)
    return replay.recovery


class Replay:
    """Folds segments, in order, into what the log holds. Pure."""

    def __init__(self) -> None:
        self.recovery = Recovery(Outline(1, HardState(), None))

    def add(self, name: str, segment: Segment) -> None:
        """Takes the next segment; SwarmError if it does not go on where the one before ended."""
        recovery = self.recovery
        before = record.decode(name, 0, segment.preamble)
        hard_state = before.hard_state or HardState()
        if not recovery.segments:
            recovery.outline = Outline(segment.first_index, hard_state, before.snapshot)
        elif (hard_state, before.snapshot, segment.first_index) != (
            recovery.outline.hard_state,
            recovery.outline.snapshot,
            recovery.outline.last + 1,
        ):
            why = "it does not go on where the segment before ends: records are missing there"
            raise damage.damaged(name, 0, why)
        last = 0
        for offset, payload in zip(segment.offsets, segment.saves, strict=True):
            saved = record.decode(name, offset, payload)
            try:
                self._save(saved)
            except SwarmError as error:
                raise damage.damaged(name, offset, error.why) from error
            last = saved.entries[-1].index if saved.entries else last
        recovery.segments.append((segment.number, last))
        recovery.last_is_empty = not segment.saves

    def check_complete(self, name: str) -> None:
        """SwarmError if entries are missing between the snapshot and the first segment, `name`."""
        outline = self.recovery.outline
        covered = outline.snapshot.index if outline.snapshot is not None else 0
        if outline.first != covered + 1:
            why = f"{name} begins at entry {outline.first}, those from {covered + 1} on are nowhere"
            raise damage.missing("the beginning of the log", why)

    def _save(self, saved: record.Record) -> None:
        outline, entries = self.recovery.outline, self.recovery.entries
        outline.save(saved.entries, saved.hard_state)
        if saved.entries:
            while entries and entries[-1].index >= saved.entries[0].index:
                entries.pop()
            entries += saved.entries
        if saved.snapshot is not None:
            outline.mark(saved.snapshot, anew=saved.anew)
            del entries[: len(entries) - (outline.last - outline.first + 1)]


def _check_no_gap(numbers: list[int]) -> None:
    for before, number in pairwise(numbers):
        if number != before + 1:
            why = f"{file_name(before)} and {file_name(number)} are there"
            raise damage.missing(file_name(before + 1), why)


def _cut(disk: Disk, name: str, whole: int, length: int) -> None:
    if whole < length:
        logger.warning(
            "%s: cut %d bytes at byte %d, the torn tail of a write that a crash interrupted",
            name,
            length - whole,
            whole,
        )
        disk.truncate(name, whole)
    disk.close(name)
