"""What a leader sends of its own accord: appends, snapshots, heartbeats.

Invariants: an append continues the receiver's log at an entry that this log holds; a heartbeat
never carries a commit index beyond what is known to match, for the receiver commits it unseen.
"""

from api.v1.raft_pb2 import Entry, RaftMessage
from manager.raft.core.errors import CompactedError, SnapshotTemporarilyUnavailableError
from manager.raft.core.progress import Progress, ProgressState
from manager.raft.core.raft import Raft
from manager.raft.core.storage import payload_size


def broadcast_append(raft: Raft) -> None:
    """Sends everybody what is new: entries, or the commit index alone."""
    for member, _ in raft.tracker.visit():
        if member != raft.id:
            send_append(raft, member)


def broadcast_heartbeat(raft: Raft) -> None:
    """Tells everybody who leads; with the token of the reads that wait for an answer."""
    token, committed = raft.read_only.token, raft.log.committed
    for member, progress in raft.tracker.visit():
        if member != raft.id:
            commit = min(progress.match, committed)
            raft.send(RaftMessage.TYPE_HEARTBEAT, member, commit=commit, context=token)
            progress.sent_commit = commit


def untold(raft: Raft) -> list[int]:
    """The members that hold more committed entries than they have been told of."""
    committed = raft.log.committed
    return [
        member
        for member, progress in raft.tracker.visit()
        if member != raft.id and progress.can_bump_commit(committed)
    ]


def send_append(raft: Raft, to: int, *, even_if_empty: bool = True) -> bool:
    """Sends the next entries, or a snapshot if the log no longer holds them; says whether it did.

    An append without entries still conveys the commit index, and asks whether the logs match.
    """
    progress = raft.tracker.progress[to]
    if progress.is_paused():
        return False
    previous = progress.next - 1
    try:
        previous_term = raft.log.term(previous)
        entries = _next_entries(raft, progress)
    except CompactedError:
        return _send_snapshot(raft, to, progress)
    if not entries and not even_if_empty:
        return False
    committed = raft.log.committed
    raft.send(
        RaftMessage.TYPE_APPEND,
        to,
        index=previous,
        log_term=previous_term,
        entries=entries,
        commit=committed,
    )
    progress.sent_entries(len(entries), payload_size(entries))
    progress.sent_commit = committed
    return True


def _next_entries(raft: Raft, progress: Progress) -> list[Entry]:
    """None into a full window: an empty append finds out whether all of the window was lost."""
    if progress.state is ProgressState.REPLICATE and progress.inflights.full():
        return []
    return raft.log.entries(progress.next, raft.config.max_size_per_msg)


def _send_snapshot(raft: Raft, to: int, progress: Progress) -> bool:
    """Not to a member that is silent: it would be sent for nothing, again and again."""
    if not progress.recent_active:
        return False
    try:
        snapshot = raft.log.snapshot()
    except SnapshotTemporarilyUnavailableError:
        return False
    index = snapshot.metadata.index
    progress.become_snapshot(index)
    raft.config.trace(f"{raft.id} sends snapshot {index} to {to}")
    raft.send(RaftMessage.TYPE_SNAPSHOT, to, snapshot=snapshot)
    return True
