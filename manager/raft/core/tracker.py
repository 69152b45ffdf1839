"""The configuration of the group, each member's progress, and the votes of an election.

Invariants: a member has a progress exactly if the configuration names it; no learner counts, for
votes or for commits; of several votes of one member the first counts. Decides nothing about logs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from api.v1.raft_pb2 import ConfState
from manager.raft.core.inflights import Inflights
from manager.raft.core.progress import Progress
from manager.raft.core.quorum import Joint, VoteResult


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """Who votes and who learns.

    `learners_next`: voters of the outgoing configuration that become learners once it is left.
    `auto_leave`: the leader ends the joint configuration by itself. Both only if joint.
    """

    voters: Joint = field(default_factory=Joint)
    learners: frozenset[int] = frozenset()
    learners_next: frozenset[int] = frozenset()
    auto_leave: bool = False

    @property
    def is_joint(self) -> bool:
        """Whether there is an outgoing configuration."""
        return bool(self.voters.outgoing.ids)

    def conf_state(self) -> ConfState:
        """The same as a message, ids in order."""
        return ConfState(
            voters=self.voters.incoming.ordered,
            learners=sorted(self.learners),
            voters_outgoing=self.voters.outgoing.ordered,
            learners_next=sorted(self.learners_next),
            auto_leave=self.auto_leave,
        )


class Tracker:
    """`config` and `progress` are replaced together, by what `confchange` made of them."""

    __slots__ = ("config", "max_inflight_bytes", "max_inflight_msgs", "progress", "votes")

    def __init__(self, max_inflight_msgs: int, max_inflight_bytes: int) -> None:
        self.max_inflight_msgs = max_inflight_msgs
        self.max_inflight_bytes = max_inflight_bytes
        self.config = TrackerConfig()
        self.progress: dict[int, Progress] = {}
        self.votes: dict[int, bool] = {}

    def new_inflights(self) -> Inflights:
        """An empty window of this group's size."""
        return Inflights(self.max_inflight_msgs, self.max_inflight_bytes)

    def committed(self) -> int:
        """The highest index that the voters, by their `match`, have committed."""
        return self.config.voters.committed_index(self._match)

    def visit(self) -> Iterator[tuple[int, Progress]]:
        """All members, by id. The caller may change the configuration meanwhile."""
        return iter(sorted(self.progress.items()))

    def quorum_active(self) -> bool:
        """Whether the recently active voters are a quorum."""
        active = {each: progress.recent_active for each, progress in self.progress.items()}
        return self.config.voters.vote_result(active) is VoteResult.WON

    def voter_ids(self) -> list[int]:
        """The voters, of both configurations if joint, by id."""
        return sorted(self.config.voters.ids())

    def reset_votes(self) -> None:
        """Begins a new election."""
        self.votes = {}

    def record_vote(self, member: int, granted: bool) -> None:
        """Takes note of a vote, unless the member has voted already."""
        self.votes.setdefault(member, granted)

    def tally_votes(self) -> tuple[int, int, VoteResult]:
        """Votes granted and rejected, of voters alone, and what they come to."""
        voters = self.config.voters
        given = [self.votes[each] for each in voters.ids() if each in self.votes]
        granted = sum(given)
        return granted, len(given) - granted, voters.vote_result(self.votes)

    def _match(self, member: int) -> int:
        return self.progress[member].match
