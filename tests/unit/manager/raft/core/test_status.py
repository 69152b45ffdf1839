"""What a member tells of itself."""

from api.v1.raft_pb2 import ConfState, RaftMessage
from tests.support.raft_entries import REMOVE, conf_change
from tests.support.raft_lone import Lone


def test_a_follower_tells_what_it_is() -> None:
    lone = Lone(1, 2, vote=3, commit=2)
    lone.work()
    lone.hear(RaftMessage.TYPE_HEARTBEAT, 2)
    assert lone.raw.status().describe().splitlines() == [
        "1: follower, leader 2, term 2, vote 3",
        "log [2, 3], committed 2, applied 2",
        "voters [1, 2, 3], learners []",
    ]


def test_a_leader_tells_what_it_knows_of_the_others() -> None:
    conf = ConfState(voters=[1, 2], voters_outgoing=[1, 2, 3], learners=[4], learners_next=[3])
    lone = Lone(conf=conf)
    lone.lead(heard=[2, 3])
    lone.raw.propose(b"12345")
    lone.raw.transfer_leader(3)
    lone.work()
    lone.hear(RaftMessage.TYPE_APPEND_RESPONSE, 3, index=2)
    assert lone.raw.status().describe().splitlines() == [
        "1: leader, leader 1, term 2, vote 1",
        "log [2, 3], committed 2, applied 2",
        "voters [1, 2], learners [4]",
        "joint with voters [1, 2, 3], next learners [3], auto leave False",
        "hands leadership to 3",
        "5 bytes uncommitted",
        "1: replicate match 3 next 4",
        "2: replicate match 2 next 4 inflight 1",
        "3: replicate match 2 next 4 inflight 1",
        "4: probe match 0 next 2 learner inactive paused",
    ]


def test_a_snapshot_on_its_way_is_told() -> None:
    lone = Lone()
    lone.lead(heard=[3])
    lone.compact()
    lone.hear(RaftMessage.TYPE_APPEND_RESPONSE, 2, index=1, reject=True)
    assert "2: snapshot match 0 next 3 snapshot 2 paused" in lone.raw.status().describe()


def test_a_status_is_a_copy() -> None:
    lone = Lone()
    lone.lead(heard=[2, 3])
    before = lone.raw.status()
    text = before.describe()
    lone.raw.propose_conf_change(conf_change((REMOVE, 3)))
    lone.work()
    lone.accept(2)
    assert before.describe() == text
    before.progress[2].match = 99
    assert lone.raw.status().progress[2].match == 3
