"""Planted bugs in what is written, when, and how it is read back."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from api.v1.raft_pb2 import HardState
from manager.raft.core.raw_node import RawNode
from manager.raft.core.ready import Ready
from manager.raft.core.storage import MemoryStorage
from manager.raft.durable import file_header, recovery, segment, snapshots
from manager.raft.durable.disk import Disk
from manager.raft.durable.record import Record
from manager.raft.durable.recovery import Replay
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Wal
from manager.raft.node.disk_duties import DiskDuties
from tests.sim.raft.plant import Plants, swap

plants = Plants()


@plants("power", seeds=20)
def plant_sync_skipped() -> AbstractContextManager[object]:
    """The log says that it has synced, and has not."""
    return swap(Wal, "_sync", lambda self: self._writer.mark_synced())


@plants("power", seeds=20)
def plant_term_and_vote_not_synced() -> AbstractContextManager[object]:
    """A round that changes nothing but term and vote is not written at once."""
    take = RawNode._take_hard_state

    def careless(self: RawNode, ready: Ready) -> None:
        take(self, ready)
        ready.must_sync = bool(ready.entries) or ready.snapshot is not None

    return swap(RawNode, "_take_hard_state", careless)


@plants("power,kill", seeds=20)
def plant_hard_state_not_saved() -> AbstractContextManager[object]:
    """Entries are saved, term and vote are not."""
    save = Wal.save

    def partial(self: Wal, hard_state: HardState | None, entries: object, *, sync: bool) -> None:
        save(self, None, entries, sync=sync)  # type: ignore[arg-type]

    return swap(Wal, "save", partial)


@plants("kill,power", seeds=20)
def plant_commit_lost_on_restart() -> AbstractContextManager[object]:
    """A member that starts again believes that only its snapshot is committed."""
    set_hard_state = MemoryStorage.set_hard_state

    def careless(self: MemoryStorage, hard_state: HardState) -> None:
        if self.last_index() == self.first_index() - 1:  # nothing is in it yet: at the start
            hard_state = HardState(term=hard_state.term, vote=hard_state.vote)
        set_hard_state(self, hard_state)

    return swap(MemoryStorage, "set_hard_state", careless)


@plants("rot", seeds=40)
@contextmanager
def plant_checksums_not_checked() -> Iterator[None]:
    """What is read from the disk is believed, whatever its checksum."""

    def equal(data: object, seed: int = 0) -> int:
        return 0

    with (
        swap(segment, "crc32", equal),
        swap(file_header, "crc32", equal),
        swap(snapshots, "crc32", equal),
    ):
        yield


@plants("rot", seeds=40)
def plant_damage_taken_for_a_torn_tail() -> AbstractContextManager[object]:
    """A broken record ends the log, though a later one shows that it was durable."""
    return swap(segment._Reader, "proof_of_durability", lambda self: None)


@plants("power,sync", seeds=20)
def plant_torn_tail_left() -> AbstractContextManager[object]:
    """The torn end of a file stays where it is."""

    def leave(disk: Disk, name: str, whole: int, length: int) -> None:
        disk.close(name)

    return swap(recovery, "_cut", leave)


@plants("partition,transfer,kill", nodes=5, steps=5_000, seeds=40)
def plant_overwritten_entries_read_back() -> AbstractContextManager[object]:
    """Recovery keeps the tail that a later record has overwritten."""
    save = Replay._save

    def keep(self: Replay, saved: Record) -> None:
        old = [each for each in self.recovery.entries if saved.entries]
        save(self, saved)
        entries = self.recovery.entries
        if old and entries and old[-1].index > entries[-1].index:
            entries += [each for each in old if each.index > entries[-1].index]

    return swap(Replay, "_save", keep)


@plants("sync,partition", seeds=40)
def plant_snapshot_marked_before_it_is_saved() -> AbstractContextManager[object]:
    """The log names a snapshot whose file is not there yet."""

    def persist(self: DiskDuties, ready: Ready) -> None:
        if ready.snapshot is None:
            whole(self, ready)
            return
        with swap(self._snapshots, "save", lambda snapshot: None):
            whole(self, ready)
        self._snapshots.save(ready.snapshot)

    whole = DiskDuties.persist
    return swap(DiskDuties, "persist", persist)


@plants("sync,members", seeds=40)
def plant_folder_not_synced() -> AbstractContextManager[object]:
    """A new snapshot's name is not made durable before the log counts on it."""
    save = SnapshotStore.save

    def careless(self: SnapshotStore, snapshot: object) -> None:
        with swap(self._disk, "fsync_dir", lambda: None):
            save(self, snapshot)  # type: ignore[arg-type]

    return swap(SnapshotStore, "save", careless)


@plants("kill,power", seeds=20)
def plant_too_much_compacted() -> AbstractContextManager[object]:
    """Files are removed that hold entries behind the snapshot."""
    compact = Wal.compact

    def greedy(self: Wal, index: int) -> None:
        compact(self, index)
        while len(self._segments) > 1:
            number, _ = self._segments.pop(0)
            self._disk.remove(recovery.file_name(number))
            self._disk.fsync_dir()

    return swap(Wal, "compact", greedy)


@plants("fsync,power", seeds=40)
def plant_failed_write_forgotten() -> AbstractContextManager[object]:
    """A member goes on after a write or an fsync has failed, as if it had not."""

    def persist(self: DiskDuties, ready: Ready) -> None:
        try:
            whole(self, ready)
        except OSError:
            self._wal._unusable = ""

    whole = DiskDuties.persist
    return swap(DiskDuties, "persist", persist)


PLANTS = plants.all
