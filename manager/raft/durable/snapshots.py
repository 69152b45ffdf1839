"""Snapshot files: one per snapshot, whole or not there at all. Knows nothing of the log's records.

A file is a header, which carries the metadata and the data's length, and the data in chunks:
length (4), checksum of the stored bytes (4), stored bytes; sealed each by itself. Written under a
temporary name, synced, renamed, the folder synced: under its own name a file is always whole, and
whatever is wrong with it is damage. Calls block.

A file counts once `Wal.mark_snapshot` has recorded it: `save`, mark, compact, `prune`.
"""

import logging
import re
import struct
from collections.abc import Iterator

from google.protobuf.message import DecodeError
from isal.isal_zlib import crc32

from api.v1.raft_pb2 import Snapshot, SnapshotMetadata
from manager.raft.durable import damage, file_header
from manager.raft.durable.disk import Disk
from manager.raft.durable.file_header import Header, Owner
from manager.raft.durable.keyring import Keys
from manager.raft.durable.sealing import TamperedError

logger = logging.getLogger(__name__)

MAGIC = b"SWARMSNP"
CHUNK_BYTES = 1 << 20
_TEMPORARY = ".snap.tmp"
_NAME = re.compile(r"([0-9]{20})\.snap")
_ABOUT = struct.Struct(">Q")
_CHUNK = struct.Struct(">II")


def file_name(index: int) -> str:
    """The file of the snapshot up to entry `index`; names sort as indexes do."""
    return f"{index:020d}.snap"


class SnapshotStore:
    """The snapshots of one node in one folder, which may be the log's."""

    def __init__(self, disk: Disk, *, cluster_id: str, node_id: str, keys: Keys | None) -> None:
        self._disk = disk
        self._owner = Owner(cluster_id, node_id)
        self._keys = keys

    def save(self, snapshot: Snapshot) -> None:
        """Writes a snapshot, durable on return. OSError: it is not there; an older one still is."""
        name = file_name(snapshot.metadata.index)
        temporary = name.removesuffix(".snap") + _TEMPORARY
        self._remove([each for each in self._disk.list() if each.endswith(_TEMPORARY)])
        self._disk.create(temporary)
        try:
            for piece in self._encode(snapshot):
                self._disk.append(temporary, piece)
            self._disk.fdatasync(temporary)
        finally:
            self._disk.close(temporary)
        self._disk.rename(temporary, name)
        self._disk.fsync_dir()

    def load_latest(self) -> Snapshot | None:
        """The newest snapshot; SwarmError if it is damaged, foreign or locked.

        It may be newer than the log's mark, if a crash came between the two; `restore` is strict.
        """
        indexes = self._indexes()
        return self._load(indexes[-1]) if indexes else None

    def restore(self, marked: SnapshotMetadata | None) -> Snapshot | None:
        """Exactly the snapshot that the log has marked, as `Recovered.snapshot` names it.

        Removes newer ones: a crash came before they were marked, and one that was received from
        the leader does not fit the log. SwarmError if the marked one is missing or damaged.
        """
        index = marked.index if marked is not None else 0
        snapshot = None
        if marked is not None:
            if index not in self._indexes():
                why = f"the log goes on from the snapshot at entry {index}"
                raise damage.missing(file_name(index), why)
            snapshot = self._load(index)
            if snapshot.metadata.term != marked.term:
                why = f"it is of term {snapshot.metadata.term}, the log's mark of {marked.term}"
                raise damage.damaged(file_name(index), 0, why)
        self._remove([file_name(each) for each in self._indexes() if each > index])
        return snapshot

    def prune(self, keep: int) -> None:
        """Removes all but the newest `keep` (at least 1) snapshots."""
        if keep < 1:
            raise ValueError("the newest snapshot is always kept")
        self._remove([file_name(index) for index in self._indexes()[:-keep]])

    def _indexes(self) -> list[int]:
        found = (_NAME.fullmatch(name) for name in self._disk.list())
        return sorted(int(each[1]) for each in found if each)

    def _remove(self, names: list[str]) -> None:
        for name in names:
            logger.info("removing %s", name)
            self._disk.remove(name)
        if names:
            self._disk.fsync_dir()

    def _encode(self, snapshot: Snapshot) -> Iterator[bytes]:
        data = memoryview(snapshot.data)
        about = _ABOUT.pack(len(data)) + snapshot.metadata.SerializeToString()
        head, header = file_header.begin(MAGIC, self._owner, about, self._keys)
        yield head
        for counter, start in enumerate(range(0, len(data), CHUNK_BYTES)):
            piece = bytes(data[start : start + CHUNK_BYTES])
            stored = header.sealer.seal(counter, header.context, piece)
            yield _CHUNK.pack(len(stored), crc32(stored, header.checksum)) + stored

    def _load(self, index: int) -> Snapshot:
        name = file_name(index)
        data = self._disk.read(name)
        header = file_header.decode(name, data, MAGIC, self._owner, self._keys)
        (length,) = _ABOUT.unpack_from(header.about)
        try:
            metadata = SnapshotMetadata.FromString(header.about[_ABOUT.size :])
        except DecodeError:
            raise damage.damaged(name, 0, "its metadata is no valid message") from None
        if metadata.index != index:
            raise damage.damaged(name, 0, f"it is snapshot {metadata.index} under another's name")
        content = b"".join(_chunks(name, data, header))
        if len(content) != length:
            raise damage.damaged(name, len(data), f"it holds {len(content)} of {length} bytes")
        return Snapshot(metadata=metadata, data=content)


def _chunks(name: str, data: bytes, header: Header) -> Iterator[bytes]:
    at, counter = header.length, 0
    while at < len(data):
        if at + _CHUNK.size > len(data):
            raise damage.damaged(name, at, f"chunk {counter} ends early")
        length, checksum = _CHUNK.unpack_from(data, at)
        stored = data[at + _CHUNK.size : at + _CHUNK.size + length]
        if len(stored) < length or crc32(stored, header.checksum) != checksum:
            raise damage.damaged(name, at, f"the checksum of chunk {counter} is wrong")
        try:
            yield header.sealer.open(counter, header.context, stored)
        except TamperedError:
            why = f"chunk {counter} was altered: its seal is broken"
            raise damage.damaged(name, at, why) from None
        at += _CHUNK.size + length
        counter += 1
