"""What a leader does to its own log: it appends, and finds out what is committed.

Invariants: a leader never changes or removes an entry of its log (Leader Append-Only); it counts
only members that hold an entry of its own term (Raft, 5.4.2, figure 8), itself among them once the
entry is persisted; a proposal is appended whole or not at all.
"""

from collections.abc import Sequence

from api.v1.raft_pb2 import Entry
from manager.raft.core import reads, sending
from manager.raft.core.errors import DropReason, ProposalDroppedError
from manager.raft.core.raft import Raft

Draft = tuple[Entry.Type.ValueType, bytes]
"""An entry that has no place in a log yet: its type and its data."""


def append(raft: Raft, drafts: Sequence[Draft]) -> int:
    """Appends the drafts, unsent yet; returns the index of the first.

    ProposalDroppedError if more data would be uncommitted than is allowed. Data of any size goes
    where none is uncommitted, and empty entries always: a new term, or leaving a joint
    configuration, must not wait.
    """
    size = sum([len(data) for _, data in drafts])
    total = raft.uncommitted_size + size
    if raft.uncommitted_size and size and total > raft.config.max_uncommitted_size:
        raise ProposalDroppedError(DropReason.TOO_MUCH_UNCOMMITTED)
    raft.uncommitted_size = total
    first, term = raft.log.last_index() + 1, raft.term
    raft.log.append(
        [
            Entry(term=term, index=index, type=kind, data=data)
            for index, (kind, data) in enumerate(drafts, first)
        ]
    )
    return first


def commit(raft: Raft) -> bool:
    """Commits what a quorum holds; if that is news, tells everybody and returns True.

    With `lazy_commit` it is told with the next entries, the next heartbeat, or by `tell_commit`.
    """
    if not raft.log.maybe_commit(raft.tracker.committed(), raft.term):
        return False
    reads.release_waiting(raft)
    if not raft.config.lazy_commit:
        sending.broadcast_append(raft)
    return True


def handed_out(raft: Raft, entries: Sequence[Entry]) -> None:
    """Takes note that committed entries go to be applied: their data is uncommitted no more.

    Some may be of an earlier leader, and were never counted here.
    """
    size = sum([len(entry.data) for entry in entries])
    raft.uncommitted_size = max(0, raft.uncommitted_size - size)
