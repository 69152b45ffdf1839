"""Elections (Raft, 5.2 and 5.4.1), with a pre-vote before them (thesis, 9.6).

Invariants:
- one vote per term, to a candidate whose log is not behind the voter's; persisted before it is
  told;
- a pre-vote promises nothing and changes nothing, neither at the asker nor at the asked;
- nobody campaigns who is no voter, has a snapshot to install, or has committed changes of the
  configuration to apply: it could count a majority that is none any more;
- whoever asks or answers also tells the last entry that it knows to be committed, and whoever
  holds that very entry commits it. Otherwise a group whose leader left it by a change could lock
  up: those who know of the change cannot win, as their logs are too short, and those who could win
  do not know of it. What is committed stays so, whoever tells it in whatever term. (etcd does not
  do so; TiKV's raft-rs does.)
"""

from typing import Final

from api.v1.raft_pb2 import Entry, RaftMessage
from manager.raft.core import leader_log, sending
from manager.raft.core.quorum import VoteResult
from manager.raft.core.raft import Raft, sender
from manager.raft.core.ready import Role

TRANSFER: Final = b"transfer"
"""Context of the vote requests of a campaign that the leader itself has asked for."""

_ANSWER_TO: Final = {
    RaftMessage.TYPE_VOTE: RaftMessage.TYPE_VOTE_RESPONSE,
    RaftMessage.TYPE_PRE_VOTE: RaftMessage.TYPE_PRE_VOTE_RESPONSE,
}


def campaign(raft: Raft) -> None:
    """Starts an election, if this member may lead."""
    if not _may_campaign(raft):
        return
    if raft.config.pre_vote:
        _ask_before(raft)
    else:
        _stand(raft)


def on_timeout_now(raft: Raft, message: RaftMessage) -> None:
    """The leader wants this follower to lead: no pre-vote, as nothing went wrong."""
    if _may_campaign(raft):
        _stand(raft, context=TRANSFER)


def learn_commit(raft: Raft, message: RaftMessage) -> None:
    """Commits what the sender of a vote request or answer knows to be committed, if it is here.

    A candidate that so learns of a change of the configuration gives up: it has asked the wrong
    ones, maybe.
    """
    if raft.role is Role.LEADER:
        return
    for entry in message.entries:
        learnt = raft.log.maybe_commit(entry.index, entry.term)
        if learnt and raft.role is not Role.FOLLOWER and _has_unapplied_change(raft):
            raft.become_follower(raft.term, leader=0)


def on_vote_request(raft: Raft, message: RaftMessage) -> None:
    """A (pre-)candidate asks. A learner answers too: it may not know yet that it is a voter.

    A granted vote is told with the request's term, which is a pre-vote's future one; a rejection
    with the own term, so that a candidate that is behind finds out.
    """
    candidate, answer = sender(message), _ANSWER_TO[message.type]
    if not (_is_free_for(raft, candidate, message) and _is_up_to_date(raft, message)):
        raft.send(answer, candidate, reject=True, entries=_last_committed(raft))
        return
    raft.send(answer, candidate, term=message.term, entries=_last_committed(raft))
    if message.type == RaftMessage.TYPE_VOTE:
        raft.election_elapsed = 0
        raft.vote = candidate


def on_vote_response(raft: Raft, message: RaftMessage) -> None:
    """A (pre-)candidate gets a vote of the kind that it asked for."""
    raft.tracker.record_vote(sender(message), not message.reject)
    granted, rejected, result = raft.tracker.tally_votes()
    raft.config.trace(f"{raft.id} has {granted} votes, {rejected} rejections: {result.value}")
    if result is VoteResult.LOST:
        raft.become_follower(raft.term, leader=0)
    elif result is VoteResult.WON and raft.role is Role.PRE_CANDIDATE:
        _stand(raft)
    elif result is VoteResult.WON:
        _lead(raft)


def _may_campaign(raft: Raft) -> bool:
    if raft.role is Role.LEADER or not raft.promotable:
        return False
    if _has_unapplied_change(raft):
        raft.config.trace(f"{raft.id} does not campaign before its configuration is up to date")
        return False
    return True


def _has_unapplied_change(raft: Raft) -> bool:
    """Looks page by page, as what is to be applied may be long."""
    low, high = raft.log.applied + 1, raft.log.committed + 1
    while low < high:
        page = raft.log.slice(low, high, raft.config.max_committed_size_per_ready)
        if any(entry.type == Entry.TYPE_CONF_CHANGE for entry in page):
            return True
        low += len(page)
    return False


def _ask_before(raft: Raft) -> None:
    raft.become_pre_candidate()
    _request_votes(raft, RaftMessage.TYPE_PRE_VOTE, raft.term + 1, b"")


def _stand(raft: Raft, context: bytes = b"") -> None:
    raft.become_candidate()
    _request_votes(raft, RaftMessage.TYPE_VOTE, raft.term, context)


def _request_votes(raft: Raft, kind: RaftMessage.Type.ValueType, term: int, context: bytes) -> None:
    """Asks all voters; itself by an answer that counts once it is persisted."""
    index, log_term = raft.log.last_index(), raft.log.last_term()
    committed = _last_committed(raft)
    for member in raft.tracker.voter_ids():
        if member == raft.id:
            raft.send(_ANSWER_TO[kind], member, term=term)
        else:
            raft.send(
                kind,
                member,
                term=term,
                index=index,
                log_term=log_term,
                entries=committed,
                context=context,
            )


def _last_committed(raft: Raft) -> list[Entry]:
    """The entry up to which all is committed, without its data."""
    index = raft.log.committed
    return [Entry(index=index, term=raft.log.term(index))] if index else []


def _lead(raft: Raft) -> None:
    """The new term begins with an empty entry: only by it can a leader commit what is before."""
    raft.become_leader()
    leader_log.append(raft, [(Entry.TYPE_COMMAND, b"")])
    sending.broadcast_append(raft)


def _is_free_for(raft: Raft, candidate: int, message: RaftMessage) -> bool:
    """Whether the vote is this candidate's already, or nobody's, or asked of a future term."""
    if message.type == RaftMessage.TYPE_PRE_VOTE and message.term > raft.term:
        return True
    return raft.vote == candidate or (raft.vote == 0 and raft.leader == 0)


def _is_up_to_date(raft: Raft, message: RaftMessage) -> bool:
    return raft.log.is_up_to_date(message.index, message.log_term)
