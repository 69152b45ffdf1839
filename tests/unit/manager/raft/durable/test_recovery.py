"""What a damaged folder is answered with: a torn tail is cut, everything else is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import Entry, HardState, SnapshotMetadata
from manager.raft.durable import record
from manager.raft.durable.keyring import FileKeys, Keys
from manager.raft.durable.recovery import Replay
from manager.raft.durable.segment import Segment
from manager.raft.durable.wal import Recovered, Wal
from tests.support.log_model import State, state_of
from tests.support.sim_disk import SimDisk

LAST = "0000000000000003.wal"


@pytest.fixture(scope="module", params=["sealed", "clear"])
def keys(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Keys | None:
    folder: Path = tmp_path_factory.mktemp("keys")
    return FileKeys(folder / "dek") if request.param == "sealed" else None


def open_wal(disk: SimDisk, keys: Keys | None, *, node: str = "n", cluster: str = "c") -> Recovered:
    return Wal.open(disk, cluster_id=cluster, node_id=node, keys=keys)[1]


def made(first: int, count: int) -> list[Entry]:
    return [Entry(term=1, index=index) for index in range(first, first + count)]


class Built:
    """A log of three segments; the states of its last one after each synced save."""

    def __init__(self, keys: Keys | None) -> None:
        self.disk = SimDisk()
        self.states: list[State] = []
        self.ends: list[int] = []
        wal, _ = Wal.open(self.disk, cluster_id="c", node_id="n", keys=keys)
        for index in range(1, 10):
            term = 1 + index // 4
            entry = Entry(term=term, index=index, data=b"data of %d" % index)
            wal.save(HardState(term=term, vote=1, commit=index - 1), [entry], sync=True)
            if index == 5:
                wal.mark_snapshot(SnapshotMetadata(index=2, term=1))
            if index == 3:  # a last record that no entry would be missed for
                wal.save(HardState(term=2, commit=2), [], sync=True)
            if index in (3, 6):
                wal.roll()
            if index >= 6:
                self.states.append(state_of(open_wal(self.disk.copy(), keys)))
                self.ends.append(len(self.disk.read(LAST)))
        assert self.disk.list() == ["0000000000000001.wal", "0000000000000002.wal", LAST]

    def with_file(self, name: str, data: bytes) -> SimDisk:
        disk = self.disk.copy()
        disk.alter(name, data)
        return disk


@pytest.fixture(scope="module")
def built(keys: Keys | None) -> Built:
    return Built(keys)


def flips(data: bytes) -> Iterator[tuple[int, bytes]]:
    for at in range(len(data)):
        for bit in (1, 0x80):
            yield at, data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def test_a_flipped_bit_is_refused_anywhere_but_in_the_last_record(
    built: Built, keys: Keys | None
) -> None:
    for name in built.disk.list():
        for at, data in flips(built.disk.read(name)):
            disk = built.with_file(name, data)
            if name == LAST and at >= built.ends[-2]:
                # No later record says that this one was whole: it may have been torn by a crash.
                assert state_of(open_wal(disk, keys)) == built.states[-2]
            else:
                with pytest.raises(SwarmError, match=name):
                    open_wal(disk, keys)
                assert disk.read(name) == data, "refused, yet changed"


def test_a_flipped_bit_in_a_record_names_segment_byte_and_remedy(
    built: Built, keys: Keys | None
) -> None:
    at = built.ends[1] + 40
    data = bytearray(built.disk.read(LAST))
    data[at] ^= 4
    with pytest.raises(SwarmError) as caught:
        open_wal(built.with_file(LAST, bytes(data)), keys)
    assert caught.value.code == Code.INTERNAL
    assert str(caught.value) == (
        f"{LAST} is damaged at byte {built.ends[1]}: the checksum of record 2 is wrong, and a "
        f"record at byte {built.ends[2]} shows that it was whole once. If other managers go on, "
        "demote and remove this node there, move the folder `swarm` out of its state folder and "
        "join it again; if none does, restore a backup: swarmctl swarm restore"
    )


@pytest.mark.parametrize("filler", [b"", bytes(500), b"\xd7REC" * 100], ids=["cut", "0", "junk"])
def test_a_torn_tail_is_cut(built: Built, keys: Keys | None, filler: bytes) -> None:
    data = built.disk.read(LAST)
    for length in range(built.ends[0], len(data) + 1):
        whole = sum(length >= end for end in built.ends) - 1
        # Bytes that happen to be right are no tear; they make a record whole or leave it broken.
        disk = built.with_file(LAST, data[:length] + filler)
        assert state_of(open_wal(disk, keys)) in built.states[whole : whole + 2]
        assert len(disk.read(LAST)) in built.ends
        assert state_of(open_wal(disk, keys)) in built.states[whole : whole + 2]


def test_a_cut_into_the_start_of_the_last_segment_is_refused(
    built: Built, keys: Keys | None
) -> None:
    data = built.disk.read(LAST)
    for length in range(built.ends[0]):
        with pytest.raises(SwarmError, match=LAST):
            open_wal(built.with_file(LAST, data[:length]), keys)


@pytest.mark.parametrize("name", ["0000000000000001.wal", "0000000000000002.wal"])
def test_a_cut_of_an_earlier_segment_is_refused(built: Built, keys: Keys | None, name: str) -> None:
    data = built.disk.read(name)
    for length in range(len(data)):
        with pytest.raises(SwarmError, match="wal is damaged at byte"):
            open_wal(built.with_file(name, data[:length]), keys)


@pytest.mark.parametrize(
    ("lost", "why"),
    [
        (
            1,
            "the beginning of the log is missing: 0000000000000002.wal begins at entry 4, those "
            "from 3 on are nowhere",
        ),
        (
            2,
            "0000000000000002.wal is missing: 0000000000000001.wal and 0000000000000003.wal "
            "are there",
        ),
    ],
)
def test_a_lost_segment_is_refused(built: Built, keys: Keys | None, lost: int, why: str) -> None:
    disk = built.disk.copy()
    disk.discard(f"{lost:016d}.wal")
    with pytest.raises(SwarmError, match=why):
        open_wal(disk, keys)


def test_a_segment_under_anothers_name_is_refused(built: Built, keys: Keys | None) -> None:
    disk = built.with_file("0000000000000004.wal", built.disk.read(LAST))
    with pytest.raises(SwarmError, match="it is segment 3 under another's name"):
        open_wal(disk, keys)


def test_another_nodes_or_clusters_log_is_refused(built: Built, keys: Keys | None) -> None:
    with pytest.raises(SwarmError, match="another cluster: it was written by cluster c, this is d"):
        open_wal(built.disk.copy(), keys, cluster="d")
    with pytest.raises(SwarmError, match="another node: it was written by node n, this is m"):
        open_wal(built.disk.copy(), keys, node="m")


def test_the_wrong_key_is_refused(tmp_path: Path) -> None:
    sealed = Built(FileKeys(tmp_path / "right")).disk
    with pytest.raises(
        SwarmError, match=r"sealed under key [0-9a-f]{16}, not in .*/wrong"
    ) as error:
        open_wal(sealed, FileKeys(tmp_path / "wrong"))
    assert error.value.code == Code.DENIED
    with pytest.raises(SwarmError, match="it is sealed, and there are no keys"):
        open_wal(sealed, None)
    with pytest.raises(SwarmError, match="it is not sealed, but everything here is to be"):
        open_wal(Built(None).disk, FileKeys(tmp_path / "right"))


def test_foreign_files_are_left_alone_and_temporary_ones_removed(
    built: Built, keys: Keys | None
) -> None:
    disk = built.disk.copy()
    for name in ("notes.txt", "1.wal", "0000000000000001.wal.bak", "0000000000000004.wal.tmp"):
        disk.alter(name, b"x")
    assert state_of(open_wal(disk, keys)) == built.states[-1]
    names = {name for name in disk.list() if disk.read(name) == b"x"}
    assert names == {"notes.txt", "1.wal", "0000000000000001.wal.bak"}


def test_unsynced_saves_may_tear_out_of_order(keys: Keys | None) -> None:
    """The first of two unsynced records is zeros, the second whole: no damage, a crash."""
    disk = SimDisk()
    wal, _ = Wal.open(disk, cluster_id="c", node_id="n", keys=keys)
    wal.save(HardState(term=1), [Entry(term=1, index=1)], sync=True)
    name = "0000000000000001.wal"
    start = len(disk.read(name))
    wal.save(HardState(term=2), [], sync=False)
    middle = len(disk.read(name))
    wal.save(HardState(term=2), [Entry(term=2, index=2)], sync=False)
    data = disk.read(name)
    disk.alter(name, data[:start] + bytes(middle - start) + data[middle:])
    assert state_of(open_wal(disk, keys)) == ((1, 0, 0), None, [(1, 1, b"")])


@pytest.mark.parametrize(
    ("saves", "why"),
    [
        ([record.encode(made(1, 3)), record.encode(made(5, 1))], "entry 5 would leave a gap"),
        ([record.encode(made(1, 3), HardState(term=1, commit=4))], "commit index 4 beyond"),
        (
            [record.encode(made(1, 3), HardState(term=1, commit=2)), record.encode(made(2, 1))],
            "entry 2 would overwrite, up to 2 all is committed",
        ),
    ],
)
def test_records_that_break_rafts_rules_are_not_believed(saves: list[bytes], why: str) -> None:
    segment = Segment(1, 1, record.encode(), saves, list(range(len(saves))), 0)
    with pytest.raises(SwarmError, match=f"s is damaged at byte {len(saves) - 1}: {why}"):
        Replay().add("s", segment)
