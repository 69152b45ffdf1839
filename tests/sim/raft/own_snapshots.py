"""A process takes snapshots of its own state, as the shell does: encoded aside, kept on the disk
when that is free, and only then known to the core.
"""

from typing import TYPE_CHECKING

from api.v1.raft_pb2 import SnapshotMetadata
from manager.raft.node.duties import SnapshotPlan

if TYPE_CHECKING:
    from tests.sim.raft.process import Process


class OwnSnapshots:
    """At most one is under way."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._under_way = False

    def plan_if_due(self) -> None:
        """Begins a snapshot of what is applied now, if that is far beyond the last one."""
        process = self._process
        world, duties = process.world, process.duties
        due = duties.applied - duties.snapshot_index >= world.snapshot_interval
        if due and not self._under_way:
            self._under_way = True
            plan = duties.plan_snapshot()
            world.clock.after(world.random.randrange(50), process.do, self._keep, plan, None)

    def _keep(self, plan: SnapshotPlan, data: bytes | None) -> None:
        process = self._process
        world = process.world
        if data is None:
            data = plan.encode()
        if process.on_disk:
            world.clock.after(3, process.do, self._keep, plan, data)
            return
        process.on_disk = True
        metadata = plan.metadata
        world.note("{} makes a snapshot up to {}", process.raft_id, metadata.index)
        keep, older = process.duties.disk.keep_snapshot, world.older_snapshots
        if process.use_disk(lambda: keep(metadata, data, max_snapshots=older)):
            world.clock.after(world.disk_delay(), process.do, self._kept, metadata)

    def _kept(self, metadata: SnapshotMetadata) -> None:
        process = self._process
        process.on_disk = self._under_way = False
        process.duties.snapshot_kept(metadata)
