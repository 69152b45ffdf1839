"""Where every message of another member comes in: first its term, then what it means to the role.

Invariants: a term that is higher than the own is taken over before anything else, except from a
pre-vote, whose term is only asked about, and from a candidate while the own leader is alive; a
message of a lower term changes nothing, except that what it tells to be committed is. The tables
say all that a role listens to.
"""

from collections.abc import Callable, Mapping
from typing import Final

from api.v1.raft_pb2 import RaftMessage
from manager.raft.core import election, following, proposals, reads, replication, transfer
from manager.raft.core.raft import UNBOUND, Raft, sender
from manager.raft.core.ready import Role

Handler = Callable[[Raft, RaftMessage], None]

_REQUESTS: Final = frozenset((RaftMessage.TYPE_VOTE, RaftMessage.TYPE_PRE_VOTE))
_ELECTION: Final = _REQUESTS | {
    RaftMessage.TYPE_VOTE_RESPONSE,
    RaftMessage.TYPE_PRE_VOTE_RESPONSE,
}
_ANYBODY: Final[Mapping[int, Handler]] = {
    RaftMessage.TYPE_VOTE: election.on_vote_request,
    RaftMessage.TYPE_PRE_VOTE: election.on_vote_request,
    RaftMessage.TYPE_PROPOSE: proposals.on_proposal,
}
_LED: Final[Mapping[int, Handler]] = {
    RaftMessage.TYPE_APPEND: following.on_append,
    RaftMessage.TYPE_HEARTBEAT: following.on_heartbeat,
    RaftMessage.TYPE_SNAPSHOT: following.on_snapshot,
}
_HANDLERS: Final[Mapping[Role, Mapping[int, Handler]]] = {
    Role.FOLLOWER: {
        **_ANYBODY,
        **_LED,
        RaftMessage.TYPE_TIMEOUT_NOW: election.on_timeout_now,
        RaftMessage.TYPE_TRANSFER_LEADER: transfer.on_forwarded,
        RaftMessage.TYPE_READ_INDEX_RESPONSE: reads.on_answer,
    },
    Role.PRE_CANDIDATE: {
        **_ANYBODY,
        **_LED,
        RaftMessage.TYPE_PRE_VOTE_RESPONSE: election.on_vote_response,
    },
    Role.CANDIDATE: {
        **_ANYBODY,
        **_LED,
        RaftMessage.TYPE_VOTE_RESPONSE: election.on_vote_response,
    },
    Role.LEADER: {
        **_ANYBODY,
        RaftMessage.TYPE_APPEND_RESPONSE: replication.on_append_response,
        RaftMessage.TYPE_HEARTBEAT_RESPONSE: replication.on_heartbeat_response,
        RaftMessage.TYPE_READ_INDEX: reads.on_request,
        RaftMessage.TYPE_TRANSFER_LEADER: transfer.on_request,
    },
}


def step(raft: Raft, message: RaftMessage) -> None:
    """Lets a message take effect. One that means nothing to this role or term is ignored.

    ProposalDroppedError as in `proposals`; InvariantError if the sender cannot be of this group.
    """
    if message.type in _ELECTION:
        election.learn_commit(raft, message)
    if message.type not in UNBOUND and not _term_agrees(raft, message):
        return
    handler = _HANDLERS[raft.role].get(message.type)
    if handler is not None:
        handler(raft, message)


def _term_agrees(raft: Raft, message: RaftMessage) -> bool:
    """Whether the message is of the own term, as it is then, or asks about a later one."""
    if message.term > raft.term:
        return _on_higher_term(raft, message)
    if message.term < raft.term:
        _on_lower_term(raft, message)
        return False
    return message.term > 0


def _on_higher_term(raft: Raft, message: RaftMessage) -> bool:
    kind = message.type
    if kind in _REQUESTS and _holds_lease(raft) and message.context != election.TRANSFER:
        raft.config.trace(f"{raft.id} hears its leader, and not candidate {sender(message)}")
        return False
    if kind == RaftMessage.TYPE_PRE_VOTE:
        return True
    if kind == RaftMessage.TYPE_PRE_VOTE_RESPONSE and not message.reject:
        return True  # it repeats the term that was asked about
    raft.become_follower(message.term, leader=sender(message) if kind in _LED else 0)
    return True


def _holds_lease(raft: Raft) -> bool:
    """Whether a leader was heard so lately that no other can be needed (thesis, 4.2.3)."""
    if not raft.config.check_quorum or not raft.leader:
        return False
    return raft.election_elapsed < raft.config.election_tick


def _on_lower_term(raft: Raft, message: RaftMessage) -> None:
    """Tells the sender of the own term where it could not find out otherwise.

    A member that came back with a higher term cannot win, as those who have a leader do not listen
    to it, and does not hear that leader, whose term is lower: the leader must learn of the term. A
    pre-candidate whose term is too low must give up asking.
    """
    config, kind = raft.config, message.type
    if kind in (RaftMessage.TYPE_APPEND, RaftMessage.TYPE_HEARTBEAT):
        if config.check_quorum or config.pre_vote:
            raft.send(RaftMessage.TYPE_APPEND_RESPONSE, sender(message))
    elif kind == RaftMessage.TYPE_PRE_VOTE:
        raft.send(RaftMessage.TYPE_PRE_VOTE_RESPONSE, sender(message), reject=True)
