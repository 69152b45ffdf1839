"""A backup of the whole state, made while the swarm works. Any manager makes one of what it holds.

All that a restored swarm needs is in the store: objects, the root and its key, tokens, the unlock
key, remembered requests. Raft's own state is not: a restored swarm begins a group of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version

from api import backup_file
from api.times import timestamp
from api.v1 import control_pb2
from manager.ca.operators import the_cluster
from manager.state.store import Store


async def backup(
    store: Store, key: bytes, *, now: float, secret: Callable[[int], bytes]
) -> AsyncIterator[control_pb2.BackupChunk]:
    """The sealed part of a backup (api/backup_file.py), of the state as it is at the call.

    `secret(n)` gives n random bytes. INVALID (field `key`) for a key of another length.
    """
    backup_file.check_key(key)
    cluster_id = the_cluster(store).id
    captured = store.capture()
    header = control_pb2.BackupHeader(
        cluster_id=cluster_id,
        made_at=timestamp(now),
        swarmctl_version=version("swarmctl"),
        index=captured.version,
        salt=secret(backup_file.SALT_BYTES),
    )
    # Encoding and sealing a large state takes seconds, which the loop does not have.
    content = await asyncio.to_thread(lambda: captured.encode().SerializeToString())
    pieces = backup_file.seal(header, key, content)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield control_pb2.BackupChunk(data=piece)
