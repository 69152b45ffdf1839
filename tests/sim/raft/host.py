"""A member as an operator sees it: a raft id, a machine with a disk, and at times a process."""

from typing import TYPE_CHECKING

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import ConfState, Entry, Member, Snapshot, SnapshotMetadata
from manager.raft.durable.keyring import Keys
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Recovered, Wal
from manager.raft.node.duties import Duties
from manager.raft.node.identity import GroupIdentity
from tests.sim.raft.drive import Drive
from tests.sim.raft.durable_view import DurableView
from tests.sim.raft.log_terms import LogTerms
from tests.sim.raft.machines import new_machine
from tests.sim.raft.process import Process
from tests.sim.raft.violation import Violation, must
from tests.support.sim_disk import PowerCut, SimDisk

if TYPE_CHECKING:
    from tests.sim.raft.world import World

GROUP = 7
CLUSTER = "sim"


def described(raft_id: int) -> Member:
    """What the group knows of a member."""
    return Member(raft_id=raft_id, node_id=f"n{raft_id}", address=f"10.0.0.{raft_id}:2377")


class Host:
    """`process` is None while it is down. `gone`: its disk was wiped, its raft id is used up."""

    def __init__(self, world: "World", raft_id: int, keys: Keys | None) -> None:
        self.raft_id = raft_id
        self.drive = Drive(SimDisk())
        self.process: Process | None = None
        self.gone = False
        self.damaged = ""
        self.full = False
        """Whether its disk is full whenever it starts."""
        self._undamaged: SimDisk | None = None
        self._world = world
        self._keys = keys
        self._node_id = f"n{raft_id}"
        world.invariants.views[raft_id] = DurableView(raft_id)

    @property
    def lost(self) -> bool:
        """Whether its disk is gone, or may turn out to be at the next start."""
        return self.gone or bool(self.damaged)

    @property
    def has_log(self) -> bool:
        """Whether it was ever brought up to date, or was there from the start."""
        view = self._world.invariants.views[self.raft_id]
        return view.last > 0

    def found(self, voters: list[int]) -> None:
        """Writes what a member of a group of these voters has before anything has happened."""
        metadata = SnapshotMetadata(
            index=1, term=1, conf=ConfState(voters=voters), members=map(described, voters)
        )
        data = new_machine(self._world.settings.machine).capture()()
        wal, _ = self._open(self.drive)
        self._snapshots().save(Snapshot(metadata=metadata, data=data))
        wal.mark_snapshot(metadata)
        wal.close()
        self.drive.kill()

    def start(self, *, bootstrap: bool = False) -> bool:
        """Starts the process; False if that failed, in a way that it may."""
        world = self._world
        self.drive.full = self.full
        try:
            wal, recovered = self._open(self.drive)
            self._check_damage(recovered)
            world.invariants.views[self.raft_id].restarted(recovered)
            self.process = self._launch(wal, recovered, bootstrap=bootstrap)
        except PowerCut:
            world.note("{} loses power while it starts", self.raft_id)
            self.drive.lose_power(world.fate())
        except OSError as error:
            self._refuses(str(error))
        except SwarmError as error:
            if error.code is not Code.UNAVAILABLE and not self.damaged:
                raise Violation("starts again", f"{self.raft_id}: {error}: {error.why}") from error
            self._refuses(f"{error}: {error.why}")
            self.gone = error.code is not Code.UNAVAILABLE
            world.counts["damage found"] += self.gone
        return self.process is not None

    def _refuses(self, why: str) -> None:
        self._world.note("{} does not start: {}", self.raft_id, why)
        self.drive.kill()

    def damage(self) -> None:
        """A byte changes that was durable; the next start must find it, or not need it."""
        self._undamaged = self.drive.disk.copy()
        self.damaged = self.drive.damage(self._world.random)
        self._world.note("{} rots: {}", self.raft_id, self.damaged or "nothing that matters")

    def _check_damage(self, recovered: Recovered) -> None:
        """What was read past the damage is what was written."""
        if not self.damaged or self._undamaged is None:
            return
        _, whole = self._open(Drive(self._undamaged))
        must(
            whole == recovered,
            "damage is found",
            "%d recovers another log past the damage at %s",
            self.raft_id,
            self.damaged,
        )

    def _launch(self, wal: Wal, recovered: Recovered, *, bootstrap: bool) -> Process:
        world, view = self._world, self._world.invariants.views[self.raft_id]
        machine = new_machine(world.settings.machine)
        snapshots = self._snapshots()
        duties = Duties.start(
            identity=GroupIdentity(self.raft_id, GROUP, (described(self.raft_id),)),
            wal=wal,
            recovered=recovered,
            snapshots=snapshots,
            machine=machine,
            chance=world.random,
            options=world.options,
            bootstrap=bootstrap,
        )
        if bootstrap and duties.snapshot_index == 1:
            view.marked(1, 1)
            view.term = max(view.term, 1)
        must(
            duties.raw.term >= view.term and duties.raw.committed >= view.commit,
            "starts where it ended",
            "%d starts in term %d with commit %d, durable was %d and %d",
            self.raft_id,
            duties.raw.term,
            duties.raw.committed,
            view.term,
            view.commit,
        )
        log = LogTerms()
        log.terms, log.snapshot = view.terms[:], view.snapshot
        log.changes = [
            each.index for each in recovered.entries if each.type == Entry.TYPE_CONF_CHANGE
        ]
        world.note("{} starts in term {}, log up to {}", self.raft_id, duties.raw.term, log.last)
        self.damaged = ""
        return Process(world, self.raft_id, self.drive, duties, snapshots, machine, log)

    def _open(self, drive: Drive) -> tuple[Wal, Recovered]:
        return Wal.open(
            drive,
            cluster_id=CLUSTER,
            node_id=self._node_id,
            keys=self._keys,
            segment_bytes=self._world.segment_bytes,
        )

    def _snapshots(self) -> SnapshotStore:
        return SnapshotStore(self.drive, cluster_id=CLUSTER, node_id=self._node_id, keys=self._keys)
