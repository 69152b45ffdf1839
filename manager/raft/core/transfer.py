"""Handing leadership to a chosen member (thesis, 3.10).

Invariants: a leader takes no proposals while it hands over, so that the target can catch up; it
tells the target to campaign only once the target holds its whole log; it gives up after one
election timeout, or if the target stops being a voter. Nothing here is needed for safety: the
target has to win an ordinary election.
"""

from api.v1.raft_pb2 import RaftMessage
from manager.raft.core import sending
from manager.raft.core.raft import Raft, sender
from manager.raft.core.ready import Role


def ask(raft: Raft, to: int) -> None:
    """Asks for `to` to lead; in vain, and in silence, if this member knows no leader."""
    if raft.role is Role.LEADER:
        _begin(raft, to)
    elif raft.leader:
        _pass_on(raft, to)


def on_request(raft: Raft, message: RaftMessage) -> None:
    """A leader is asked for the sender to lead."""
    _begin(raft, sender(message))


def on_forwarded(raft: Raft, message: RaftMessage) -> None:
    """A follower is asked for the sender to lead, and passes it on."""
    if raft.leader:
        _pass_on(raft, sender(message))


def on_progress(raft: Raft, member: int) -> None:
    """A leader knows more of `member`'s log: if it hands over to it, it may be time."""
    if member == raft.transfer_target:
        _campaign_if_caught_up(raft)


def abort_unless_voter(raft: Raft) -> None:
    """Gives up if the target no longer votes in the configuration."""
    if raft.transfer_target not in raft.tracker.config.voters.ids():
        raft.transfer_target = 0


def _begin(raft: Raft, to: int) -> None:
    """A new target replaces an old one; asking for the leader itself just ends a transfer."""
    progress = raft.tracker.progress.get(to)
    if progress is None or progress.is_learner or to == raft.transfer_target:
        return
    raft.transfer_target = 0 if to == raft.id else to
    if raft.transfer_target:
        raft.config.trace(f"{raft.id} hands leadership of term {raft.term} to {to}")
        raft.election_elapsed = 0  # the time that the transfer has
        if not _campaign_if_caught_up(raft):
            sending.send_append(raft, to)


def _campaign_if_caught_up(raft: Raft) -> bool:
    """Tells the target to campaign if its log is as long as the leader's."""
    target = raft.transfer_target
    caught_up = raft.tracker.progress[target].match == raft.log.last_index()
    if caught_up:
        raft.send(RaftMessage.TYPE_TIMEOUT_NOW, target)
    return caught_up


def _pass_on(raft: Raft, to: int) -> None:
    """The member that shall lead counts as the message's sender, whoever carries it."""
    raft.send(RaftMessage.TYPE_TRANSFER_LEADER, raft.leader, sender=to)
