"""What a record of the log says: a list of typed items. Pure.

Big-endian per item: kind (1), length (4), the message in protobuf's wire format. A save holds its
entries, then its hard state, so that no commit index ever stands before the entry it names.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from google.protobuf.message import DecodeError

from api.v1.raft_pb2 import Entry, HardState, SnapshotMetadata
from manager.raft.durable import damage

_ITEM = struct.Struct(">BI")


class _Kind(IntEnum):
    ENTRY = 1
    HARD_STATE = 2
    SNAPSHOT = 3
    SNAPSHOT_ANEW = 4


@dataclass(slots=True)
class Record:
    """One save. `anew`: the log was emptied and goes on behind `snapshot`.

    It must be told: a log whose beginning was compacted cannot find out whether it agreed.
    """

    entries: list[Entry] = field(default_factory=list)
    hard_state: HardState | None = None
    snapshot: SnapshotMetadata | None = None
    anew: bool = False


def encode(
    entries: Iterable[Entry] = (),
    hard_state: HardState | None = None,
    snapshot: SnapshotMetadata | None = None,
    *,
    anew: bool = False,
) -> bytes:
    """One record's payload."""
    parts: list[bytes] = []
    for entry in entries:
        parts += _item(_Kind.ENTRY, entry.SerializeToString())
    if snapshot is not None:
        kind = _Kind.SNAPSHOT_ANEW if anew else _Kind.SNAPSHOT
        parts += _item(kind, snapshot.SerializeToString())
    if hard_state is not None:
        parts += _item(_Kind.HARD_STATE, hard_state.SerializeToString())
    return b"".join(parts)


def decode(name: str, offset: int, payload: bytes) -> Record:
    """Reads the record at byte `offset` of file `name`; SwarmError if it makes no sense."""
    record = Record()
    try:
        for kind, data in _items(name, offset, payload):
            match kind:
                case _Kind.ENTRY:
                    record.entries.append(Entry.FromString(data))
                case _Kind.HARD_STATE:
                    record.hard_state = HardState.FromString(data)
                case _Kind.SNAPSHOT | _Kind.SNAPSHOT_ANEW:
                    record.snapshot = SnapshotMetadata.FromString(data)
                    record.anew = kind == _Kind.SNAPSHOT_ANEW
                case _:
                    raise damage.newer(name, f"item kind {kind}")
    except DecodeError:
        raise damage.damaged(name, offset, "a record holds no valid message") from None
    return record


def _item(kind: _Kind, data: bytes) -> tuple[bytes, bytes]:
    return _ITEM.pack(kind, len(data)), data


def _items(name: str, offset: int, payload: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(payload):
        start = at + _ITEM.size
        if start > len(payload):
            raise damage.damaged(name, offset, "a record holds half an item")
        kind, length = _ITEM.unpack_from(payload, at)
        at = start + length
        if at > len(payload):
            raise damage.damaged(name, offset, "a record holds half an item")
        yield kind, payload[start:at]
