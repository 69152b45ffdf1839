"""What a leader knows of one member's log, and what it may send there now. Sends nothing itself.

Invariants: `match` < `next`; `match` never falls within a term; what lies between them is on its
way. In PROBE at most one append with entries is on its way, in SNAPSHOT none. The semantics are
those of etcd/raft 3.6.
"""

from enum import Enum

from manager.raft.core.errors import InvariantError
from manager.raft.core.inflights import Inflights


class ProgressState(Enum):
    """How a leader sends: one probe at a time, a stream ahead of the answers, or a snapshot."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


class Progress:
    """One member as the leader sees it. Begins in PROBE.

    `match`: up to here its log is known to be ours. `next`: sent next. `pending_snapshot`: index of
    the snapshot on its way, in SNAPSHOT only. `recent_active`: heard of since the last check of the
    quorum. `probe_paused`: appends wait for an answer, of a heartbeat at least. `sent_commit`: the
    highest commit index that was sent.
    """

    __slots__ = (
        "inflights",
        "is_learner",
        "match",
        "next",
        "pending_snapshot",
        "probe_paused",
        "recent_active",
        "sent_commit",
        "state",
    )

    def __init__(
        self,
        *,
        match: int = 0,
        next: int = 1,
        inflights: Inflights,
        is_learner: bool = False,
        recent_active: bool = False,
    ) -> None:
        self.match = match
        self.next = next
        self.state = ProgressState.PROBE
        self.pending_snapshot = 0
        self.recent_active = recent_active
        self.probe_paused = False
        self.inflights = inflights
        self.is_learner = is_learner
        self.sent_commit = 0

    def copy(self) -> "Progress":
        """The same, on its own."""
        copy = Progress(
            match=self.match,
            next=self.next,
            inflights=self.inflights.copy(),
            is_learner=self.is_learner,
            recent_active=self.recent_active,
        )
        copy.state = self.state
        copy.pending_snapshot = self.pending_snapshot
        copy.probe_paused = self.probe_paused
        copy.sent_commit = self.sent_commit
        return copy

    def reset_state(self, state: ProgressState) -> None:
        """Goes into a state with nothing on its way. `next` is the caller's."""
        self.probe_paused = False
        self.pending_snapshot = 0
        self.state = state
        self.inflights.reset()

    def become_probe(self) -> None:
        """Probes behind what is known to match, or behind the snapshot that was on its way."""
        arrived = self.pending_snapshot  # 0 in the other states
        self.reset_state(ProgressState.PROBE)
        self.next = max(self.match, arrived) + 1
        self.sent_commit = min(self.sent_commit, self.next - 1)

    def become_replicate(self) -> None:
        """Streams from behind what is known to match."""
        self.reset_state(ProgressState.REPLICATE)
        self.next = self.match + 1
        self.sent_commit = min(self.sent_commit, self.match)

    def become_snapshot(self, index: int) -> None:
        """Waits for the snapshot of `index`, which is on its way."""
        self.reset_state(ProgressState.SNAPSHOT)
        self.pending_snapshot = index
        self.next = index + 1
        self.sent_commit = index

    def sent_entries(self, count: int, size: int) -> None:
        """Takes note of an append of `count` entries, maybe none, with `size` bytes of data."""
        if self.state is ProgressState.REPLICATE:
            if count:
                self.next += count
                self.inflights.add(self.next - 1, size)
            # Into a full window one empty append goes per answer to a heartbeat: it carries the
            # commit index, and finds out if everything in the window was lost.
            self.probe_paused = self.inflights.full()
        elif self.state is ProgressState.PROBE:
            self.probe_paused = self.probe_paused or count > 0
        else:
            raise InvariantError("append sent while a snapshot is on its way")

    def can_bump_commit(self, index: int) -> bool:
        """Whether sending this commit index may tell the member something new."""
        return index > self.sent_commit and self.sent_commit < self.next - 1

    def maybe_update(self, index: int) -> bool:
        """Takes note that the logs match up to `index`; False if that is no news."""
        if index <= self.match:
            return False
        self.match = index
        self.next = max(self.next, index + 1)
        self.probe_paused = False
        return True

    def maybe_decrement(self, rejected: int, match_hint: int) -> bool:
        """Takes note that the append behind `rejected` was refused; False if that is no news.

        `match_hint`: the highest index at which the logs may match.
        """
        if self.state is ProgressState.REPLICATE:
            if rejected <= self.match:
                return False
            self.next = self.match + 1
        elif rejected != self.next - 1:
            return False  # of an earlier probe
        else:
            self.next = max(min(rejected, match_hint + 1), self.match + 1)
            self.probe_paused = False
        self.sent_commit = min(self.sent_commit, self.next - 1)
        return True

    def is_paused(self) -> bool:
        """Whether no append may be sent now, not even an empty one."""
        return self.probe_paused or self.state is ProgressState.SNAPSHOT
