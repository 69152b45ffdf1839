"""Planted bugs in elections, terms and votes."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from api.v1.raft_pb2 import RaftMessage
from manager.raft.core import election, following, step
from manager.raft.core import ready as ready_module
from manager.raft.core.config import Config
from manager.raft.core.quorum import Majority, VoteResult
from manager.raft.core.raft import Raft
from manager.raft.core.raw_node import RawNode
from manager.raft.core.ready import Role
from manager.raft.core.tracker import Tracker
from tests.sim.raft.plant import Plants, rehandle, swap

plants = Plants()
_ALL = -1
"""Nobody's id: where the bug counts all votes."""
_EARLY = ready_module._EARLY


@plants("all")
def plant_vote_told_before_sync() -> AbstractContextManager[object]:
    """A vote leaves before it is on the disk."""
    return swap(ready_module, "_EARLY", _EARLY | {RaftMessage.TYPE_VOTE_RESPONSE})


@plants("all")
def plant_candidacy_before_sync() -> AbstractContextManager[object]:
    """A candidate asks for votes before its own vote is on the disk."""
    return swap(ready_module, "_EARLY", _EARLY | {RaftMessage.TYPE_VOTE})


@plants("kill,power,drop,partition", seeds=40)
def plant_vote_forgotten_on_restart() -> AbstractContextManager[object]:
    """A member that starts again has not voted yet in its term."""
    init = RawNode.__init__

    def forgetful(self: RawNode, config: Config) -> None:
        init(self, config)
        self._raft.vote = 0

    return swap(RawNode, "__init__", forgetful)


@plants("transfer,drop,kill,oneway", nodes=5, steps=6_000, seeds=40)
def plant_two_votes_in_a_term() -> AbstractContextManager[object]:
    """A vote is given though it was given to another candidate of the same term."""
    return swap(election, "_is_free_for", lambda raft, candidate, message: True)


@plants("partition,drop,kill", seeds=40)
def plant_vote_for_a_shorter_log() -> AbstractContextManager[object]:
    """A vote is given to a candidate whose log is behind the voter's."""
    return swap(election, "_is_up_to_date", lambda raft, message: True)


@plants("partition,drop,kill,clocks", nodes=4, seeds=40)
def plant_vote_cleared_on_becoming_follower() -> AbstractContextManager[object]:
    """Whoever becomes a follower forgets its vote, within the term too."""
    become = Raft.become_follower

    def forgetful(self: Raft, term: int, *, leader: int) -> None:
        become(self, term, leader=leader)
        self.vote = 0

    return swap(Raft, "become_follower", forgetful)


@plants("partition,drop,kill,delay,oneway", nodes=4, seeds=40)
def plant_quorum_of_half_the_votes() -> AbstractContextManager[object]:
    """At even sizes half of the votes elect a leader."""

    def vote_result(self: Majority, votes: Mapping[int, bool]) -> VoteResult:
        quorum = (len(self.ids) + 1) // 2
        given = [votes[each] for each in self.ordered if each in votes]
        if sum(given) >= quorum or not self.ids:
            return VoteResult.WON
        waiting = len(self.ids) - len(given)
        return VoteResult.PENDING if sum(given) + waiting >= quorum else VoteResult.LOST

    return swap(Majority, "vote_result", vote_result)


@plants("transfer,duplicate,oneway", nodes=5, seeds=40)
@contextmanager
def plant_duplicate_vote_counted() -> Iterator[None]:
    """A vote that arrives twice counts twice."""

    def tally(self: Tracker) -> tuple[int, int, VoteResult]:
        granted = int(self.votes.get(_ALL, 0))
        quorum = len(self.config.voters.incoming.ids) // 2 + 1
        return granted, 0, VoteResult.WON if granted >= quorum else VoteResult.PENDING

    def record(self: Tracker, member: int, granted: bool) -> None:
        votes: dict[int, int] = self.votes  # type: ignore[assignment]
        votes[_ALL] = votes.get(_ALL, 0) + granted

    with swap(Tracker, "tally_votes", tally), swap(Tracker, "record_vote", record):
        yield


@plants("partition,drop,kill", seeds=10)
def plant_stale_vote_counted() -> AbstractContextManager[object]:
    """Votes of the election before count in this one."""
    return swap(Tracker, "reset_votes", lambda self: None)


@plants("transfer,oneway,pause", steps=6_000, seeds=40)
def plant_higher_term_not_told() -> AbstractContextManager[object]:
    """A member of a higher term does not answer the leader of a lower one, and so stays alone."""
    return swap(step, "_on_lower_term", lambda raft, message: None)


@plants("transfer,oneway,pause", steps=6_000, seeds=40)
def plant_higher_term_not_taken_from_answers() -> AbstractContextManager[object]:
    """Whoever is told of a higher term in an answer goes on in its own."""
    higher = step._on_higher_term
    answers = (
        RaftMessage.TYPE_APPEND_RESPONSE,
        RaftMessage.TYPE_HEARTBEAT_RESPONSE,
        RaftMessage.TYPE_VOTE_RESPONSE,
    )

    def deaf(raft: Raft, message: RaftMessage) -> bool:
        return message.type in answers or higher(raft, message)

    return swap(step, "_on_higher_term", deaf)


@plants("partition,kill,pause", seeds=20)
def plant_pre_vote_raises_the_term() -> AbstractContextManager[object]:
    """Whoever is asked for a pre-vote enters the term that is only asked about."""
    answer = election.on_vote_request

    def eager(raft: Raft, message: RaftMessage) -> None:
        answer(raft, message)
        if message.term > raft.term:
            raft.become_follower(message.term, leader=0)

    return rehandle(answer, eager)


@plants("kill,drop", seeds=20)
def plant_timeout_not_reset() -> AbstractContextManager[object]:
    """A follower that hears its leader does not begin its timeout anew."""
    hear = following._hear_leader

    def impatient(raft: Raft, message: RaftMessage) -> int:
        elapsed = raft.election_elapsed
        leader = hear(raft, message)
        raft.election_elapsed = elapsed
        return leader

    return swap(following, "_hear_leader", impatient)


@plants("members,kill,partition,drop", seeds=40)
def plant_learner_stands_for_election() -> AbstractContextManager[object]:
    """A learner campaigns, and so leads a group in which it has no vote."""

    def promotable(self: Raft) -> bool:
        return self.own_progress is not None and not self.log.has_pending_snapshot()

    return swap(Raft, "promotable", property(promotable))


@plants("partition,drop,kill", seeds=20)
def plant_leader_without_election() -> AbstractContextManager[object]:
    """A pre-candidate that has won its pre-vote leads at once, in the term that it had."""

    def lead(raft: Raft, context: bytes = b"") -> None:
        raft.role = Role.CANDIDATE
        election._lead(raft)

    return swap(election, "_stand", lead)


@plants("members,transfer,oneway", steps=6_000, seeds=60)
def plant_commit_not_told_by_votes() -> AbstractContextManager[object]:
    """Votes do not tell the commit index: after a change, new voters may ask the wrong majority."""
    return swap(election, "learn_commit", lambda raft, message: None)


PLANTS = plants.all
