"""Changes of the group's configuration: single (thesis, 4.1) and joint (4.3).

Invariants:
- a change takes effect when it is applied, on every member at the same place in the log;
- at most one change is in the log and not applied: a leader appends an empty entry in place of any
  other, and of one that the configuration does not admit;
- none is taken in a term before all that was in the log at its beginning, and so an entry of that
  term, is applied (the flaw of single-server changes that Ongaro reported in 2015);
- a configuration that came with a snapshot holds all changes before it: they are not applied again.
"""

from google.protobuf.message import DecodeError

from api.v1.raft_pb2 import ConfChange, ConfState, Entry, Snapshot
from manager.raft.core import confchange, leader_log, reads, sending, transfer
from manager.raft.core.confchange import Changer, Outcome
from manager.raft.core.errors import ConfChangeError
from manager.raft.core.raft import Raft
from manager.raft.core.ready import Role


def refusal(raft: Raft, data: bytes) -> str | None:
    """Why a leader does not take this change now; None if it does."""
    if raft.pending_conf_index > raft.log.applied:
        return f"the change at {raft.pending_conf_index} may not be applied yet"
    if not raft.commit_is_current:
        return "no entry of this term is committed yet"
    try:
        _changed(raft, ConfChange.FromString(data))
    except (ConfChangeError, DecodeError) as error:
        return str(error)
    return None


def apply(raft: Raft, change: ConfChange | None) -> ConfState:
    """Carries out a committed change; None stands for one that the caller refuses.

    While a received snapshot waits to be installed nothing is done: its configuration, which comes
    after this change, holds already, and is returned.
    ConfChangeError, with nothing done, if the configuration does not admit it.
    """
    if change is not None and not raft.log.has_pending_snapshot():
        _switch(raft, _changed(raft, change))
    return raft.tracker.config.conf_state()


def restore(raft: Raft, snapshot: Snapshot) -> bool:
    """Takes a snapshot in place of the log; False if there was no need.

    If the log has the snapshot's last entry, all that is news is that it is committed. A snapshot
    need not name the member that it brings up to date: a joiner may learn of its own addition from
    the entries behind it.
    """
    metadata, log = snapshot.metadata, raft.log
    if metadata.index <= log.committed:
        return False
    if log.match_term(metadata.index, metadata.term):
        log.commit_to(metadata.index)
        return False
    log.restore(snapshot)
    tracker = raft.tracker
    tracker.config, tracker.progress = confchange.restore(
        metadata.conf, log.last_index(), tracker.new_inflights
    )
    raft.config.trace(f"{raft.id} takes snapshot {metadata.index} of term {metadata.term}")
    return True


def leave_if_due(raft: Raft) -> None:
    """A leader ends a joint configuration that is to end by itself, once it is applied.

    While leadership is being handed over it cannot; then the new leader does, or this one later.
    """
    if raft.role is not Role.LEADER or not raft.tracker.config.auto_leave:
        return
    if raft.log.applied < raft.pending_conf_index or raft.transfer_target:
        return
    if not raft.commit_is_current:
        return
    raft.pending_conf_index = leader_log.append(raft, [(Entry.TYPE_CONF_CHANGE, b"")])
    sending.broadcast_append(raft)


def _changed(raft: Raft, change: ConfChange) -> Outcome:
    """What the change would make of the configuration."""
    tracker = raft.tracker
    changer = Changer(
        tracker.config, tracker.progress, raft.log.last_index(), tracker.new_inflights
    )
    if not change.changes:
        return changer.leave_joint()
    if change.transition == ConfChange.TRANSITION_AUTO and len(change.changes) == 1:
        return changer.simple(change.changes)
    auto_leave = change.transition != ConfChange.TRANSITION_EXPLICIT
    return changer.enter_joint(auto_leave, change.changes)


def _switch(raft: Raft, outcome: Outcome) -> None:
    """Goes over to another configuration, with all that this means for a leader."""
    tracker = raft.tracker
    tracker.config, tracker.progress = outcome
    progress = raft.own_progress
    if raft.role is not Role.LEADER:
        return
    if progress is None or progress.is_learner:
        if raft.config.step_down_on_removal:
            raft.become_follower(raft.term, leader=0)
        return
    if not leader_log.commit(raft):  # a smaller quorum may have it all
        for member, _ in tracker.visit():
            if member != raft.id:
                sending.send_append(raft, member, even_if_empty=False)
    reads.answer_confirmed(raft)
    transfer.abort_unless_voter(raft)
