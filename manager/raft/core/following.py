"""What a member does at its leader's word: append, commit, install a snapshot.

Invariants: whoever sends these messages leads this very term (`step` has seen to the term), so a
candidate gives up for it; an answer says only what is in this member's log, and leaves after that
log is persisted; a snapshot replaces the log only if it tells something new.
"""

from api.v1.raft_pb2 import RaftMessage
from manager.raft.core import reconfigure
from manager.raft.core.raft import Raft, sender
from manager.raft.core.ready import Role


def on_append(raft: Raft, message: RaftMessage) -> None:
    """Takes over entries, if the log has the entry that they follow; else says where it may."""
    leader = _hear_leader(raft, message)
    log = raft.log
    if message.index < log.committed:  # an old one: what is committed matches anyway
        raft.send(RaftMessage.TYPE_APPEND_RESPONSE, leader, index=log.committed)
        return
    last = log.maybe_append(message.index, message.log_term, message.commit, message.entries)
    if last is None:
        _reject_append(raft, leader, message)
    else:
        raft.send(RaftMessage.TYPE_APPEND_RESPONSE, leader, index=last)


def on_heartbeat(raft: Raft, message: RaftMessage) -> None:
    """Commits what the leader knows to match; InvariantError if this log has lost that."""
    leader = _hear_leader(raft, message)
    raft.log.commit_to(message.commit)
    raft.send(RaftMessage.TYPE_HEARTBEAT_RESPONSE, leader, context=message.context)


def on_snapshot(raft: Raft, message: RaftMessage) -> None:
    """Takes the snapshot in place of the log, or says how far it is without it."""
    leader = _hear_leader(raft, message)
    if reconfigure.restore(raft, message.snapshot):
        raft.send(RaftMessage.TYPE_APPEND_RESPONSE, leader, index=raft.log.last_index())
    else:
        raft.send(RaftMessage.TYPE_APPEND_RESPONSE, leader, index=raft.log.committed)


def _hear_leader(raft: Raft, message: RaftMessage) -> int:
    """Follows the sender, with all of an election timeout ahead; returns its id."""
    leader = sender(message)
    if raft.role is Role.FOLLOWER:
        raft.election_elapsed = 0
        raft.leader = leader
    else:
        raft.become_follower(message.term, leader=leader)
    return leader


def _reject_append(raft: Raft, leader: int, message: RaftMessage) -> None:
    """Hints at the last entry that may match: its term is not above that of the leader's entry.

    So the leader skips all of a divergent tail of higher terms at once (Raft, end of 5.3).
    """
    index = min(message.index, raft.log.last_index())
    hint, hint_term = raft.log.find_conflict_by_term(index, message.log_term)
    raft.send(
        RaftMessage.TYPE_APPEND_RESPONSE,
        leader,
        index=message.index,
        reject=True,
        reject_hint=hint,
        log_term=hint_term,
    )
