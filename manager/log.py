"""The replicated log of a manager: its files, its Raft node and what carries messages to others.

Composes; decides nothing.
"""

import logging
import secrets
from collections.abc import Callable
from pathlib import Path

import grpc

from api.channel import node_channel
from api.errors import Code, SwarmError
from api.identity import Credentials
from api.v1 import objects_pb2, raft_pb2, specs_pb2
from manager.config import ManagerConfig
from manager.raft.durable import damage
from manager.raft.durable.disk import DirectoryDisk
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Recovered, Wal
from manager.raft.node.identity import GroupIdentity
from manager.raft.node.machine import StateMachine
from manager.raft.node.node import RaftNode
from manager.raft.transport.transport import Transport
from manager.state.machine import COMMAND_VERSION
from manager.state.store import View

logger = logging.getLogger(__name__)

DEFAULT_SNAPSHOT_INTERVAL = 10_000


class ReplicatedLog:
    """Opens the folder when it is made; `node` takes part once its `run` runs. `close` at the end.

    `settings`: where the cluster's wishes about snapshots stand; `founding`: the folder is empty,
    and a new group begins in it.
    """

    def __init__(
        self,
        config: ManagerConfig,
        place: GroupIdentity,
        machine: StateMachine,
        *,
        settings: View,
        credentials: Callable[[], Credentials],
        fresh: bool,
        founding: bool,
    ) -> None:
        """`fresh`: the place is new, and nothing may be expected in the folder. SwarmError as
        Wal.open, and INTERNAL if the log of a place that is not new is gone.
        """
        self._settings = settings
        self._credentials = credentials
        self._disk = DirectoryDisk(config.directory)
        try:
            self._wal, recovered = Wal.open(
                self._disk, cluster_id=config.cluster_id, node_id=config.node_id, keys=config.keys
            )
            if not fresh and _is_empty(recovered):
                raise _is_gone(config.directory)
            chance = secrets.SystemRandom()
            self.transport = Transport(
                connect=self._connect,
                snapshot_data=self._snapshot_data,
                version=COMMAND_VERSION,
                address=lambda: config.advertise_address,
                chance=chance,
                monotonic=config.monotonic,
            )
            self.node = RaftNode(
                identity=place,
                wal=self._wal,
                recovered=recovered,
                snapshots=SnapshotStore(
                    self._disk,
                    cluster_id=config.cluster_id,
                    node_id=config.node_id,
                    keys=config.keys,
                ),
                machine=machine,
                keys=config.keys,
                transport=self.transport,
                snapshot_interval=lambda: (
                    self._spec().snapshot_interval or DEFAULT_SNAPSHOT_INTERVAL
                ),
                max_snapshots=lambda: self._spec().max_snapshots,
                chance=chance,
                monotonic=config.monotonic,
                bootstrap=founding,
            )
            self.transport.bind(self.node)
        except BaseException:
            self._disk.release()  # or a second try in this process would find it locked
            raise

    async def close(self) -> None:
        """Ends what goes on and gives the folder up, after `node.run` has ended."""
        await self.transport.close()
        try:
            self._wal.close()
        except OSError as error:
            logger.error("the log was not closed in order, the next start looks it over: %s", error)
        finally:
            self._disk.release()

    async def _snapshot_data(self, metadata: raft_pb2.SnapshotMetadata) -> bytes:
        return await self.node.snapshot_data(metadata)

    def _connect(self, member: raft_pb2.Member) -> grpc.aio.Channel:
        # With the node's id as its name, nobody else can answer.
        return node_channel(member.address, self._credentials(), server_name=member.node_id)

    def _spec(self) -> specs_pb2.ClusterSpec:
        for cluster in self._settings.all(objects_pb2.Cluster):
            return cluster.spec
        return specs_pb2.ClusterSpec()


def _is_empty(recovered: Recovered) -> bool:
    return recovered.snapshot is None and not recovered.entries and not recovered.hard_state.term


def _is_gone(directory: Path) -> SwarmError:
    """The refusal to take part without the log that the place was used with."""
    return SwarmError(
        Code.INTERNAL,
        f"the log in {directory} is gone",
        why="the folder was emptied or replaced",
        remedy=damage.REJOIN,
    )
