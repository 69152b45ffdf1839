"""What a leader makes of the others' answers: their progress, and through it the commit index.

Invariants: `match` of a member is only what the member itself has said to have persisted; one that
does not answer is sent no more than its window, or one probe per heartbeat.
"""

from api.v1.raft_pb2 import RaftMessage
from manager.raft.core import leader_log, reads, sending, transfer
from manager.raft.core.progress import Progress, ProgressState
from manager.raft.core.raft import Raft, sender
from manager.raft.core.ready import Role


def on_append_response(raft: Raft, message: RaftMessage) -> None:
    """A member, maybe the leader itself, has persisted entries, or refused to append them."""
    member = sender(message)
    progress = raft.tracker.progress.get(member)
    if progress is None:  # a leader that was removed, and was told not to step down
        return
    progress.recent_active = True
    if message.reject:
        _on_rejection(raft, member, progress, message)
    elif _is_news(progress, message.index):
        _on_acceptance(raft, member, progress, message.index)


def on_heartbeat_response(raft: Raft, message: RaftMessage) -> None:
    """A member is there: probe it again if it lacks something, and count it for the reads."""
    member = sender(message)
    progress = raft.tracker.progress[member]
    progress.recent_active = True
    progress.probe_paused = False
    if progress.match < raft.log.last_index() or progress.state is ProgressState.PROBE:
        sending.send_append(raft, member)
    if message.context:
        reads.on_confirmation(raft, member, message.context)


def report_unreachable(raft: Raft, member: int) -> None:
    """A message did not arrive, so those sent ahead may be lost: find out what did arrive."""
    progress = _others_progress(raft, member)
    if progress is not None and progress.state is ProgressState.REPLICATE:
        progress.become_probe()


def report_snapshot(raft: Raft, member: int, ok: bool) -> None:
    """The snapshot went out or failed. Either way the next append waits for a sign of life."""
    progress = _others_progress(raft, member)
    if progress is None or progress.state is not ProgressState.SNAPSHOT:
        return
    if not ok:
        progress.pending_snapshot = 0  # or the probe would start behind what never arrived
    progress.become_probe()
    progress.probe_paused = True


def _others_progress(raft: Raft, member: int) -> Progress | None:
    return raft.tracker.progress.get(member) if raft.role is Role.LEADER else None


def _on_rejection(raft: Raft, member: int, progress: Progress, message: RaftMessage) -> None:
    """Goes back to the last entry that may match, a whole term at a step.

    At the hint the follower has an entry of `log_term`; behind it only higher or equal terms. So
    no entry of the leader that is of a higher term than `log_term` can match at or below the hint.
    """
    hint = message.reject_hint
    if message.log_term:
        hint, _ = raft.log.find_conflict_by_term(hint, message.log_term)
    if progress.maybe_decrement(message.index, hint):
        if progress.state is ProgressState.REPLICATE:
            progress.become_probe()
        sending.send_append(raft, member)


def _is_news(progress: Progress, index: int) -> bool:
    """A probe that found just what was known is news too: the member can be streamed to."""
    if progress.maybe_update(index):
        return True
    return progress.state is ProgressState.PROBE and progress.match == index


def _on_acceptance(raft: Raft, member: int, progress: Progress, index: int) -> None:
    _leave_waiting_state(raft, progress, index)
    leader_log.commit(raft)
    if member != raft.id:
        if not raft.config.lazy_commit and progress.can_bump_commit(raft.log.committed):
            sending.send_append(raft, member)
        while sending.send_append(raft, member, even_if_empty=False):
            pass
    transfer.on_progress(raft, member)


def _leave_waiting_state(raft: Raft, progress: Progress, index: int) -> None:
    """Streams again as soon as the log itself can bring the member up to date.

    Whether the snapshot arrived that was sent, or another, or none, does not matter for that.
    """
    if progress.state is ProgressState.REPLICATE:
        progress.inflights.free_to(index)
    elif progress.state is ProgressState.PROBE or progress.match + 1 >= raft.log.first_index():
        progress.become_replicate()
