"""Settings that contradict each other are refused; and the two small data modules beside them."""

from typing import Any

import pytest

from api.v1.raft_pb2 import RaftMessage
from manager.raft.core.config import NO_LIMIT, Config
from manager.raft.core.errors import DropReason, ProposalDroppedError
from manager.raft.core.ready import Ready
from manager.raft.core.storage import MemoryStorage


class Lowest:
    def randrange(self, start: int, _stop: int, /) -> int:
        return start


def config(**settings: Any) -> Config:
    return Config(**{"id": 1, "storage": MemoryStorage(), "chance": Lowest(), **settings})


def test_the_defaults_are_safe() -> None:
    made = config()
    assert (made.pre_vote, made.check_quorum, made.step_down_on_removal) == (True, True, True)
    assert (made.election_tick, made.heartbeat_tick, made.applied) == (10, 2, 0)
    made.trace("is ignored")


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"id": 0}, "id is a number of 64 bits"),
        ({"id": 1 << 64}, "id is a number of 64 bits"),
        ({"heartbeat_tick": 0}, "heartbeat_tick is at least 1"),
        ({"election_tick": 2}, "election_tick is above heartbeat_tick"),
        ({"applied": -1}, "applied is an index"),
        ({"max_size_per_msg": -1}, "max_size_per_msg is not negative"),
        ({"max_committed_size_per_ready": 0}, "max_committed_size_per_ready is above 0"),
        ({"max_uncommitted_size": 0}, "max_uncommitted_size is above 0"),
        ({"max_inflight_msgs": 0}, "max_inflight_msgs is at least 1"),
        ({"max_inflight_bytes": 99, "max_size_per_msg": 100}, "max_inflight_bytes is at least"),
    ],
)
def test_refused(settings: dict[str, int], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        config(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"id": (1 << 64) - 1},
        {"heartbeat_tick": 1, "election_tick": 2},
        {"max_size_per_msg": 0},
        {"max_inflight_bytes": 100, "max_size_per_msg": 100},
        {"max_uncommitted_size": NO_LIMIT, "max_committed_size_per_ready": NO_LIMIT},
    ],
)
def test_accepted(settings: dict[str, int]) -> None:
    made = config(**settings)
    assert {name: getattr(made, name) for name in settings} == settings


EARLY = {"APPEND", "SNAPSHOT", "HEARTBEAT", "TIMEOUT_NOW", "READ_INDEX_RESPONSE"}


def test_only_what_a_leader_says_by_itself_may_leave_before_the_fsync() -> None:
    types = RaftMessage.Type.values()
    ready = Ready(messages=[RaftMessage(type=each, to=2) for each in types])
    early = {RaftMessage.Type.Name(each.type).removeprefix("TYPE_") for each in ready.early}
    assert early == EARLY
    assert len(ready.early) + len(ready.late) == len(types)
    assert not [each for each in ready.late if each in ready.early]


def test_a_dropped_proposal_says_why() -> None:
    error = ProposalDroppedError(DropReason.NO_LEADER)
    assert error.reason is DropReason.NO_LEADER
    assert str(error) == "proposal dropped: there is no leader"
