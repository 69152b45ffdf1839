"""What the passing of ticks means. What a tick is in seconds is the caller's affair.

Invariants: only a voter that heard of no leader for its whole timeout campaigns; a leader that
heard of no quorum for an election timeout is none any more (CheckQuorum, thesis, 6.2).
"""

from manager.raft.core import election, sending
from manager.raft.core.raft import Raft
from manager.raft.core.ready import Role


def tick(raft: Raft) -> None:
    """One tick has passed."""
    raft.election_elapsed += 1
    if raft.role is Role.LEADER:
        _tick_leader(raft)
    elif raft.election_elapsed >= raft.election_timeout and raft.promotable:
        raft.election_elapsed = 0
        election.campaign(raft)


def _tick_leader(raft: Raft) -> None:
    raft.heartbeat_elapsed += 1
    if raft.election_elapsed >= raft.config.election_tick:
        raft.election_elapsed = 0
        raft.transfer_target = 0  # it had this long
        if raft.config.check_quorum and not _quorum_was_active(raft):
            raft.config.trace(f"{raft.id} has not heard of a quorum and leads no more")
            raft.become_follower(raft.term, leader=0)
            return
    if raft.heartbeat_elapsed >= raft.config.heartbeat_tick:
        raft.heartbeat_elapsed = 0
        sending.broadcast_heartbeat(raft)


def _quorum_was_active(raft: Raft) -> bool:
    """Looks back on one election timeout, and begins the next."""
    active = raft.tracker.quorum_active()
    for member, progress in raft.tracker.visit():
        progress.recent_active = member == raft.id
    return active
