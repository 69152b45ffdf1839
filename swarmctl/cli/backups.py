"""Backup files on this host: written whole or not at all, read back before they count, looked into.

What stands in them is the affair of api/backup_key.py and api/backup_file.py.
"""

import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

from google.protobuf.message import DecodeError

from api import backup_file
from api.backup_key import ENVELOPE_BYTES, LOG_N, SALT_BYTES, KeySource, damaged, read_envelope
from api.v1 import control_pb2, raft_pb2
from swarmctl.cli.whole_files import refused, write_whole

CHUNK = 1 << 20


class Held(NamedTuple):
    """What a backup holds. `counts`: objects by kind."""

    header: control_pb2.BackupHeader
    counts: dict[str, int]


def new_source() -> KeySource:
    """How the key of a new backup comes out of its passphrase."""
    return KeySource(secrets.token_bytes(SALT_BYTES), log_n=LOG_N)


def write(path: Path, source: KeySource, key: bytes, sealed: Iterable[bytes]) -> Held:
    """Writes a backup, 0600, in place of what `path` was; what it holds, as read back from it.

    Until all of it is on the disk and every seal was checked, it has another name. REFUSED where
    that cannot be done, or as `check`; what was at `path` is still there then.
    """
    return write_whole(path, chain((source.envelope(),), sealed), lambda fresh: check(fresh, key))


def source_of(path: Path) -> KeySource:
    """How the key of this backup comes out of its passphrase; errors as of read_envelope."""
    with _opened(path) as file:
        return read_envelope(file.read(ENVELOPE_BYTES))


def sealed_part(path: Path) -> Iterator[bytes]:
    """What a manager wrote of the file, in pieces."""
    with _opened(path) as file:
        file.seek(ENVELOPE_BYTES)
        while piece := file.read(CHUNK):
            yield piece


def check(path: Path, key: bytes) -> Held:
    """Opens every seal and every object; errors as of backup_file.unseal, REFUSED if unreadable."""
    with _opened(path) as file:
        file.seek(ENVELOPE_BYTES)
        header, content = backup_file.unseal(file, key)
    try:
        state = raft_pb2.StoreSnapshot.FromString(content)
    except DecodeError:
        raise damaged("its state is no valid message") from None
    if state.index != header.index:
        raise damaged(f"it says that it is of entry {header.index}, and is of {state.index}")
    kinds: Counter[str] = Counter(each.WhichOneof("kind") or "unknown" for each in state.objects)
    return Held(header, dict(kinds))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with refused(f"cannot read {path}"), path.open("rb") as file:
        yield file
