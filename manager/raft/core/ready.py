"""What the core hands out for its caller to do. Data alone: it decides nothing.

Invariants that whoever fills a Ready keeps: `committed_entries` were persisted here before, or are
by this very Ready; a vote or an answer about the log is never `early`, for it promises what the
Ready has still to make durable.
"""

from dataclasses import dataclass, field
from enum import Enum

from api.v1.raft_pb2 import Entry, HardState, RaftMessage, Snapshot

_EARLY = frozenset(
    (
        RaftMessage.TYPE_APPEND,
        RaftMessage.TYPE_HEARTBEAT,
        RaftMessage.TYPE_SNAPSHOT,
        RaftMessage.TYPE_TIMEOUT_NOW,
        RaftMessage.TYPE_READ_INDEX_RESPONSE,
    )
)


class Role(Enum):
    """What a member is at the moment. A learner is a FOLLOWER that never becomes anything else."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(frozen=True, slots=True)
class SoftState:
    """What need not be persisted: the leader (0: none known) and the own role."""

    leader: int
    role: Role


@dataclass(frozen=True, slots=True)
class ReadState:
    """The read asked for under `context` may be answered once `index` is applied."""

    index: int
    context: bytes


@dataclass(slots=True)
class Ready:
    """One round of duties, in this order: persist, send, install the snapshot, apply, advance.

    `soft_state` and `hard_state` only if they changed. `hard_state`, `entries` and `snapshot` are
    persisted together, the entries in place of any stored from their first index on; with an fsync
    if `must_sync`. A `snapshot` was received, and comes before the entries.
    """

    soft_state: SoftState | None = None
    hard_state: HardState | None = None
    entries: list[Entry] = field(default_factory=list)
    snapshot: Snapshot | None = None
    messages: list[RaftMessage] = field(default_factory=list)
    committed_entries: list[Entry] = field(default_factory=list)
    read_states: list[ReadState] = field(default_factory=list)
    must_sync: bool = False

    @property
    def early(self) -> list[RaftMessage]:
        """Messages that may leave before the fsync: a leader's own (Ongaro, thesis, 10.2.1)."""
        return [message for message in self.messages if message.type in _EARLY]

    @property
    def late(self) -> list[RaftMessage]:
        """Messages that leave only after the fsync."""
        return [message for message in self.messages if message.type not in _EARLY]
