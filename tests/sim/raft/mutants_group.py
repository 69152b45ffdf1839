"""Planted bugs in changes of the configuration, and in snapshots."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from google.protobuf.message import DecodeError

from api.errors import SwarmError
from api.v1.raft_pb2 import ConfChange, SnapshotMetadata
from manager.raft.core import reconfigure
from manager.raft.core.config import Config
from manager.raft.core.errors import ConfChangeError
from manager.raft.core.quorum import Joint, VoteResult
from manager.raft.core.raft import Raft
from manager.raft.core.raw_node import RawNode
from manager.raft.core.tracker import Tracker
from manager.raft.node.duties import Duties, SnapshotPlan
from manager.raft.node.membership import Membership
from tests.sim.raft.plant import Plants, swap

plants = Plants()


@plants("members,slow,delay", seeds=20)
def plant_two_changes_at_once() -> AbstractContextManager[object]:
    """A leader takes a change while another is not applied yet."""

    def refusal(raft: Raft, data: bytes) -> str | None:
        if not raft.commit_is_current:
            return "no entry of this term is committed yet"
        return _inadmissible(raft, data)

    return swap(reconfigure, "refusal", refusal)


@plants("members,kill,partition,slow", nodes=5, seeds=60)
def plant_change_before_the_first_commit() -> AbstractContextManager[object]:
    """A leader takes a change before an entry of its term is committed."""

    def refusal(raft: Raft, data: bytes) -> str | None:
        if raft.pending_conf_index > raft.log.applied:
            return "another change is pending"
        return _inadmissible(raft, data)

    return swap(reconfigure, "refusal", refusal)


def _inadmissible(raft: Raft, data: bytes) -> str | None:
    try:
        reconfigure._changed(raft, ConfChange.FromString(data))
    except (ConfChangeError, DecodeError) as error:
        return str(error)
    return None


@plants("members,partition,kill", seeds=40)
def plant_learner_counts() -> AbstractContextManager[object]:
    """A learner that has an entry helps to commit it."""

    def committed(self: Tracker) -> int:
        indexes = sorted(progress.match for progress in self.progress.values())
        return indexes[(len(indexes) - 1) // 2]

    return swap(Tracker, "committed", committed)


@plants("members,slow,delay", nodes=5, seeds=40)
def plant_joint_commits_by_one_majority() -> AbstractContextManager[object]:
    """In a joint configuration the incoming majority alone commits."""

    def committed_index(self: Joint, acked: Callable[[int], int | None]) -> int:
        return self.incoming.committed_index(acked)

    return swap(Joint, "committed_index", committed_index)


@plants("members,partition,kill", nodes=4, steps=8_000, seeds=60)
def plant_joint_elects_by_one_majority() -> AbstractContextManager[object]:
    """In a joint configuration the incoming majority alone elects."""

    def vote_result(self: Joint, votes: Mapping[int, bool]) -> VoteResult:
        return self.incoming.vote_result(votes)

    return swap(Joint, "vote_result", vote_result)


@plants("members", steps=8_000, seeds=20)
def plant_joint_never_left() -> AbstractContextManager[object]:
    """A joint configuration that should end by itself does not."""
    return swap(reconfigure, "leave_if_due", lambda raft: None)


@plants("members", seeds=40)
def plant_removed_id_accepted() -> AbstractContextManager[object]:
    """A raft id that was removed may come back."""

    def refusal(self: Membership, change: ConfChange) -> SwarmError | None:
        if all(each.member.raft_id for each in change.changes):
            return None
        return SwarmError.__new__(SwarmError)

    return swap(Membership, "refusal", refusal)


@plants("members,kill", steps=8_000, seeds=40)
def plant_removed_ids_not_in_snapshots() -> AbstractContextManager[object]:
    """Whoever starts from a snapshot knows nothing of removed raft ids."""
    of = Membership.of

    def forgetful(metadata: SnapshotMetadata) -> Membership:
        return Membership(of(metadata).members.values())

    return swap(Membership, "of", forgetful)


@plants("kill,power", seeds=20)
def plant_snapshot_names_one_entry_too_few() -> AbstractContextManager[object]:
    """A snapshot holds one entry more than it says."""
    return _off_by(-1)


@plants("kill,power,partition", seeds=20)
def plant_snapshot_names_one_entry_too_many() -> AbstractContextManager[object]:
    """A snapshot holds one entry less than it says."""
    return _off_by(1)


def _off_by(step: int) -> AbstractContextManager[object]:
    plan_snapshot = Duties.plan_snapshot

    def wrong(self: Duties) -> SnapshotPlan:
        plan = plan_snapshot(self)
        index = plan.metadata.index + step
        if (
            self._storage.first_index()
            <= index
            <= min(self._storage.last_index(), self.raw.committed)
        ):
            plan.metadata.index, plan.metadata.term = index, self._storage.term(index)
        return plan

    return swap(Duties, "plan_snapshot", wrong)


@plants("kill,partition,drop", seeds=20)
def plant_received_snapshot_not_installed() -> AbstractContextManager[object]:
    """A received snapshot is kept on the disk, but the machine goes on from what it had."""
    take_over = Duties._take_over

    def lazy(self: Duties, snapshot: SnapshotMetadata) -> None:
        self.disk._installer = lambda: None
        take_over(self, snapshot)

    return swap(Duties, "_take_over", lazy)


@plants("kill", seeds=20)
def plant_entry_after_the_snapshot_skipped() -> AbstractContextManager[object]:
    """After a start the first entry behind the snapshot counts as applied."""
    init = RawNode.__init__

    def skipping(self: RawNode, config: Config) -> None:
        init(self, config)
        log = self._raft.log
        if log.applied < log.committed:
            log.applied_to(log.applied + 1)

    return swap(RawNode, "__init__", skipping)


@plants("members,kill,power,partition", seeds=40)
@contextmanager
def plant_change_not_in_the_snapshot() -> Iterator[None]:
    """A snapshot carries the configuration of before the last change."""
    apply = Duties._apply_change

    def late(self: Duties, entry: object) -> object:
        before = self._conf
        result = apply(self, entry)  # type: ignore[arg-type]
        self._conf = before
        return result

    with swap(Duties, "_apply_change", late):
        yield


PLANTS = plants.all
