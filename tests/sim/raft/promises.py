"""What members tell each other, and must stand by: everything in it is durable before it leaves,
nobody votes twice in a term, and what is acknowledged to a leader is what that leader has.
"""

from typing import TYPE_CHECKING

from api.v1.raft_pb2 import RaftMessage
from tests.sim.raft.durable_view import DurableView
from tests.sim.raft.violation import must

if TYPE_CHECKING:
    from tests.sim.raft.process import Process

_NO_TERM = frozenset(
    (
        RaftMessage.TYPE_PRE_VOTE,  # carries the term that is only hoped for, as does its answer
        RaftMessage.TYPE_PRE_VOTE_RESPONSE,
    )
)
_VOTE_ANSWER = RaftMessage.TYPE_VOTE_RESPONSE
_APPEND_ANSWER = RaftMessage.TYPE_APPEND_RESPONSE
_VOTE_REQUEST = RaftMessage.TYPE_VOTE


class Promises:
    """Kept over the whole life of the group. `leaders`: by term, as the invariants find them."""

    def __init__(self, views: dict[int, DurableView]) -> None:
        self.leaders: dict[int, Process] = {}
        self._views = views
        self._votes: dict[tuple[int, int], int] = {}

    def vote(self, voter: int, term: int) -> int:
        """Whom the voter has told that it votes for in this term; 0: nobody."""
        return self._votes.get((voter, term), 0)

    def sends(self, member: "Process", message: RaftMessage) -> None:
        """A message leaves: what it promises must be durable."""
        if message.type in _NO_TERM or not message.term:
            return
        who, term = member.raft_id, message.term
        view = self._views[who]
        must(view.term >= term, "term before answer", "%d tells of term %d", who, term)
        if message.reject:
            return
        if message.type == _VOTE_ANSWER:
            self._voted(who, term, message.to)
            self._durable_vote(view, term, message.to)
        elif message.type == _VOTE_REQUEST:
            self._voted(who, term, who)
            self._durable_vote(view, term, who)
        elif message.type == _APPEND_ANSWER and term == view.term:
            must(
                message.index <= view.last,
                "entries before answer",
                "%d acknowledges %d, durable is %d",
                who,
                message.index,
                view.last,
            )
            self._same_log(view, message.index, term)

    def _same_log(self, view: DurableView, index: int, term: int) -> None:
        """What is acknowledged to a leader is what that leader has."""
        leader = self.leaders.get(term)
        if leader is None or leader.seen_term != term or not view.terms[index]:
            return
        must(
            leader.log.holds(index, view.terms[index]),
            "the leader's entries are acknowledged",
            "%d acknowledges %d of term %d, which its leader %d has not",
            view.raft_id,
            index,
            view.terms[index],
            leader.raft_id,
        )

    def _durable_vote(self, view: DurableView, term: int, candidate: int) -> None:
        must(
            view.term > term or view.vote == candidate,
            "vote before answer",
            "%d votes for %d in term %d, durable is vote %d in term %d",
            view.raft_id,
            candidate,
            term,
            view.vote,
            view.term,
        )

    def _voted(self, voter: int, term: int, candidate: int) -> None:
        other = self._votes.setdefault((voter, term), candidate)
        must(
            other == candidate,
            "one vote per term",
            "%d votes for %d and %d in term %d",
            voter,
            other,
            candidate,
            term,
        )
