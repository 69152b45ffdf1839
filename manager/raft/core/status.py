"""What a member tells of itself, for people and for tests. A copy: the core goes on without it."""

from dataclasses import dataclass

from api.v1.raft_pb2 import HardState
from manager.raft.core.progress import Progress
from manager.raft.core.raft import Raft
from manager.raft.core.ready import Role, SoftState
from manager.raft.core.tracker import TrackerConfig


@dataclass(frozen=True, slots=True)
class Status:
    """One member at one moment.

    `progress`: of each member, by raft id; a leader's knowledge, and empty elsewhere.
    `transfer_target`: 0 if leadership is not being handed over. `uncommitted_size` in bytes.
    """

    id: int
    hard_state: HardState
    soft_state: SoftState
    applied: int
    first_index: int
    last_index: int
    config: TrackerConfig
    progress: dict[int, Progress]
    transfer_target: int
    uncommitted_size: int

    def describe(self) -> str:
        """All of it, in several lines, without a newline at the end."""
        hard, soft, conf = self.hard_state, self.soft_state, self.config
        lines = [
            f"{self.id}: {soft.role.value}, leader {soft.leader}, "
            f"term {hard.term}, vote {hard.vote}",
            f"log [{self.first_index}, {self.last_index}], "
            f"committed {hard.commit}, applied {self.applied}",
            f"voters {list(conf.voters.incoming.ordered)}, learners {sorted(conf.learners)}",
        ]
        if conf.is_joint:
            lines.append(
                f"joint with voters {list(conf.voters.outgoing.ordered)}, "
                f"next learners {sorted(conf.learners_next)}, auto leave {conf.auto_leave}"
            )
        if self.transfer_target:
            lines.append(f"hands leadership to {self.transfer_target}")
        if self.uncommitted_size:
            lines.append(f"{self.uncommitted_size} bytes uncommitted")
        lines.extend(_line(member, progress) for member, progress in self.progress.items())
        return "\n".join(lines)


def status_of(raft: Raft) -> Status:
    """The member's status now."""
    leads = raft.role is Role.LEADER
    return Status(
        id=raft.id,
        hard_state=raft.hard_state(),
        soft_state=raft.soft_state(),
        applied=raft.log.applied,
        first_index=raft.log.first_index(),
        last_index=raft.log.last_index(),
        config=raft.tracker.config,
        progress={each: it.copy() for each, it in raft.tracker.visit()} if leads else {},
        transfer_target=raft.transfer_target,
        uncommitted_size=raft.uncommitted_size,
    )


def _line(member: int, progress: Progress) -> str:
    """One member of the group, as its leader sees it."""
    words = [
        f"{member}: {progress.state.value} match {progress.match} next {progress.next}",
        "learner" if progress.is_learner else "",
        "" if progress.recent_active else "inactive",
        f"snapshot {progress.pending_snapshot}" if progress.pending_snapshot else "",
        "paused" if progress.is_paused() else "",
        f"inflight {progress.inflights.count}" if progress.inflights.count else "",
    ]
    return " ".join(word for word in words if word)
