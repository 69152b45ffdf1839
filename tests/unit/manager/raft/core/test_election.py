"""Elections: who campaigns when, who gets a vote, and who gives up."""

import pytest

from api.v1.raft_pb2 import ConfState, Entry, RaftMessage
from manager.raft.core.ready import Role
from tests.support.raft_entries import REMOVE, UPDATE, conf_change, snapshot
from tests.support.raft_lone import THREE, Dice, Kind, Lone, kinds

VOTE, PRE_VOTE = RaftMessage.TYPE_VOTE, RaftMessage.TYPE_PRE_VOTE
VOTE_RESPONSE = RaftMessage.TYPE_VOTE_RESPONSE
PRE_VOTE_RESPONSE = RaftMessage.TYPE_PRE_VOTE_RESPONSE
APPEND, HEARTBEAT = RaftMessage.TYPE_APPEND, RaftMessage.TYPE_HEARTBEAT
HEARTBEAT_RESPONSE = RaftMessage.TYPE_HEARTBEAT_RESPONSE
TIMEOUT_NOW = RaftMessage.TYPE_TIMEOUT_NOW


@pytest.mark.parametrize("offset", [0, 4, 9])
def test_a_follower_campaigns_after_its_drawn_timeout(offset: int) -> None:
    dice = Dice(offset)
    lone = Lone(chance=dice)
    assert dice.asked == [(10, 20)]
    assert lone.tick(9 + offset) == []
    assert kinds(lone.tick()) == [("PRE_VOTE", 2), ("PRE_VOTE", 3)]


def test_each_candidacy_draws_anew() -> None:
    dice = Dice()
    lone = Lone(chance=dice, pre_vote=False)
    lone.tick(10)
    dice.offset = 5
    lone.tick(10)
    assert (lone.raw.term, len(dice.asked)) == (3, 3)
    assert lone.tick(14) == []
    assert kinds(lone.tick()) == [("VOTE", 2), ("VOTE", 3)]


def test_a_leader_that_is_heard_puts_the_timeout_off() -> None:
    lone = Lone()
    for kind in (HEARTBEAT, APPEND):
        lone.tick(9)
        lone.hear(kind, 2, index=1, log_term=1)
    assert (lone.tick(9), lone.raw.leader) == ([], 2)


def test_a_pre_candidate_changes_neither_term_nor_vote() -> None:
    lone = Lone(1, 2, vote=3)
    lone.raw.campaign()
    ready = lone.raw.ready()
    assert ready.hard_state is None
    assert ready.soft_state is not None
    assert ready.soft_state.role is Role.PRE_CANDIDATE
    assert [(each.term, each.index, each.log_term) for each in ready.messages] == [(3, 3, 2)] * 2
    assert ready.early == []


def test_a_won_pre_vote_is_followed_by_the_vote_and_by_an_empty_entry() -> None:
    lone = Lone()
    lone.raw.campaign()
    lone.work()
    said = lone.hear(PRE_VOTE_RESPONSE, 2, term=2)
    assert kinds(said) == [("VOTE", 2), ("VOTE", 3)]
    assert [(each.term, each.context) for each in said] == [(2, b"")] * 2
    assert (lone.role, lone.raw.term) == (Role.CANDIDATE, 2)
    said = lone.hear(VOTE_RESPONSE, 3)
    assert kinds(said) == [("APPEND", 2), ("APPEND", 3)]
    assert (lone.raw.is_leader, lone.raw.leader) == (True, 1)
    assert said[0].entries[0] == Entry(term=2, index=2)
    lone.raw.campaign()
    assert not lone.raw.has_ready()


def test_a_pre_candidate_asks_once_per_timeout() -> None:
    lone = Lone()
    assert len(lone.tick(10)) == 2
    assert lone.tick(9) == []
    assert len(lone.tick()) == 2


def test_votes_of_an_earlier_candidacy_are_forgotten() -> None:
    lone = Lone()
    lone.raw.campaign()
    lone.work()
    lone.hear(PRE_VOTE_RESPONSE, 2, reject=True)
    lone.raw.campaign()
    lone.work()
    lone.hear(PRE_VOTE_RESPONSE, 2, term=2)
    assert lone.role is Role.CANDIDATE


@pytest.mark.parametrize("pre_vote", [True, False])
def test_a_lost_election_makes_a_follower_of_the_same_term(pre_vote: bool) -> None:
    lone = Lone(pre_vote=pre_vote)
    lone.raw.campaign()
    lone.work()
    term, kind = lone.raw.term, PRE_VOTE_RESPONSE if pre_vote else VOTE_RESPONSE
    for _ in range(2):  # the second is the same vote again
        lone.hear(kind, 2, reject=True)
        assert lone.role is (Role.PRE_CANDIDATE if pre_vote else Role.CANDIDATE)
    lone.hear(kind, 3, reject=True)
    assert (lone.role, lone.raw.term) == (Role.FOLLOWER, term)


def test_a_pre_vote_rejected_at_a_higher_term_teaches_that_term() -> None:
    lone = Lone()
    lone.raw.campaign()
    lone.work()
    lone.hear(PRE_VOTE_RESPONSE, 2, term=7, reject=True)
    assert (lone.role, lone.raw.term, lone.raw.leader) == (Role.FOLLOWER, 7, 0)


def test_the_own_vote_counts_once_it_is_persisted() -> None:
    lone = Lone(pre_vote=False)
    lone.raw.campaign()
    ready = lone.raw.ready()
    assert (ready.must_sync, ready.early) == (True, [])
    lone.raw.step(lone.message(VOTE_RESPONSE, 2))
    assert lone.raw.status().soft_state.role is Role.CANDIDATE
    lone.obey(ready)
    assert lone.raw.is_leader


def test_a_sole_voter_elects_itself_once_its_vote_is_persisted() -> None:
    lone = Lone(conf=ConfState(voters=[1]))
    lone.raw.campaign()
    assert lone.raw.has_ready()
    for role in (Role.PRE_CANDIDATE, Role.CANDIDATE, Role.LEADER):
        assert lone.role is role
        ready = lone.raw.ready()
        lone.obey(ready)
    assert lone.raw.committed == 2
    lone.work()
    assert lone.raw.applied == 2


def test_a_pre_candidate_that_asks_again_still_has_its_own_vote_to_come() -> None:
    lone = Lone(conf=ConfState(voters=[1, 2]))
    lone.raw.campaign()
    lone.work()
    lone.raw.campaign()
    assert lone.raw.has_ready()
    lone.work()
    lone.hear(PRE_VOTE_RESPONSE, 2, term=2)
    assert lone.role is Role.CANDIDATE


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        (Role.FOLLOWER, VOTE_RESPONSE),
        (Role.FOLLOWER, PRE_VOTE_RESPONSE),
        (Role.PRE_CANDIDATE, VOTE_RESPONSE),
        (Role.CANDIDATE, PRE_VOTE_RESPONSE),
        (Role.LEADER, VOTE_RESPONSE),
    ],
)
def test_votes_that_were_not_asked_for_do_not_count(role: Role, kind: Kind) -> None:
    lone = Lone(pre_vote=role is Role.PRE_CANDIDATE)
    if role is Role.LEADER:
        lone.lead()
    elif role is not Role.FOLLOWER:
        lone.raw.campaign()
        lone.work()
    for member in (2, 3):
        assert lone.hear(kind, member) == []
    assert lone.role is role


GRANTED, REJECTED = True, False


@pytest.mark.parametrize(
    ("kind", "vote", "leader", "term", "last", "expected"),
    [
        # The own log is (1,1) (2,1) (3,2), the own term 2.
        (VOTE, 0, 0, 3, (3, 2), GRANTED),
        (VOTE, 0, 0, 2, (3, 2), GRANTED),
        (VOTE, 2, 0, 2, (3, 2), GRANTED),  # repeated
        (VOTE, 3, 0, 2, (3, 2), REJECTED),  # given to another
        (VOTE, 3, 0, 3, (3, 2), GRANTED),  # of another term
        (VOTE, 0, 3, 2, (3, 2), REJECTED),  # there is a leader
        (VOTE, 0, 0, 3, (2, 2), REJECTED),  # shorter
        (VOTE, 0, 0, 3, (4, 2), GRANTED),
        (VOTE, 0, 0, 3, (2, 3), GRANTED),  # shorter, of a later term
        (VOTE, 0, 0, 3, (9, 1), REJECTED),  # longer, of an earlier term
        (PRE_VOTE, 3, 0, 3, (3, 2), GRANTED),  # of a future term, whatever the vote
        (PRE_VOTE, 3, 0, 2, (3, 2), REJECTED),
        (PRE_VOTE, 0, 0, 2, (3, 2), GRANTED),
        (PRE_VOTE, 0, 0, 3, (2, 2), REJECTED),
    ],
)
def test_who_gets_a_vote(
    kind: Kind, vote: int, leader: int, term: int, last: tuple[int, int], expected: bool
) -> None:
    lone = Lone(1, 2, vote=vote, check_quorum=False)
    if leader:
        lone.hear(HEARTBEAT, leader)
    index, log_term = last
    (answer,) = lone.hear(kind, 2, term=term, index=index, log_term=log_term)
    assert (answer.to, answer.reject) == (2, not expected)
    real = kind == VOTE
    assert answer.type == (VOTE_RESPONSE if real else PRE_VOTE_RESPONSE)
    assert answer.term == (term if expected or real else 2)
    hard_state, _ = lone.storage.initial_state()
    assert hard_state.term == (term if real else 2)
    if real and expected:
        assert hard_state.vote == 2


def test_a_given_vote_puts_the_timeout_off_a_given_pre_vote_does_not() -> None:
    lone = Lone()
    lone.tick(9)
    lone.hear(VOTE, 2, index=1, log_term=1)
    assert lone.tick(9) == []
    lone.hear(PRE_VOTE, 2, term=2, index=1, log_term=1)
    assert kinds(lone.tick()) == [("PRE_VOTE", 2), ("PRE_VOTE", 3)]


@pytest.mark.parametrize("kind", [VOTE, PRE_VOTE])
def test_whoever_hears_a_leader_does_not_hear_candidates(kind: Kind) -> None:
    lone = Lone(chance=Dice(5))
    lone.hear(HEARTBEAT, 2)
    lone.tick(9)
    assert lone.hear(kind, 3, term=5, index=9, log_term=1) == []
    assert lone.raw.term == 1
    lone.tick()
    assert kinds(lone.hear(kind, 3, term=5, index=9, log_term=1)) == [
        (("VOTE_RESPONSE" if kind == VOTE else "PRE_VOTE_RESPONSE"), 3)
    ]


@pytest.mark.parametrize(("check_quorum", "context"), [(False, b""), (True, b"transfer")])
def test_without_the_lease_or_by_the_leaders_wish_a_candidate_is_heard(
    check_quorum: bool, context: bytes
) -> None:
    lone = Lone(check_quorum=check_quorum)
    lone.hear(HEARTBEAT, 2)
    (answer,) = lone.hear(VOTE, 3, term=5, index=9, log_term=1, context=context)
    assert (answer.reject, answer.term, lone.raw.leader) == (False, 5, 0)


def test_forgetting_the_leader_gives_up_the_lease() -> None:
    lone = Lone()
    lone.hear(HEARTBEAT, 2)
    lone.raw.forget_leader()
    assert lone.raw.leader == 0
    assert len(lone.hear(PRE_VOTE, 3, term=2, index=1, log_term=1)) == 1


def test_a_leader_does_not_forget_itself() -> None:
    lone = Lone()
    lone.lead()
    lone.raw.forget_leader()
    assert lone.raw.leader == 1


def with_unapplied_change() -> Lone:
    lone = Lone(max_committed_size_per_ready=1)
    command = Entry(term=1, index=2, data=b"first of several pages")
    data = conf_change((UPDATE, 2)).SerializeToString()
    change = Entry(term=1, index=3, type=Entry.TYPE_CONF_CHANGE, data=data)
    append = lone.message(APPEND, 2, index=1, log_term=1, entries=[command, change], commit=3)
    lone.raw.step(append)
    return lone


def with_snapshot_to_install() -> Lone:
    lone = Lone()
    lone.raw.step(lone.message(RaftMessage.TYPE_SNAPSHOT, 2, snapshot=snapshot(9, 1, 1, 2, 3)))
    return lone


UNFIT = {
    "a learner": lambda: Lone(id=9, conf=ConfState(voters=[1, 2, 3], learners=[9])),
    "a stranger": lambda: Lone(id=9),
    "a joiner": lambda: Lone(conf=ConfState()),
    "with a change to apply": with_unapplied_change,
    "with a snapshot to install": with_snapshot_to_install,
}


@pytest.mark.parametrize("who", UNFIT)
def test_who_does_not_campaign(who: str) -> None:
    lone = UNFIT[who]()
    lone.raw.campaign()
    lone.raw.step(lone.message(TIMEOUT_NOW, 2))
    for _ in range(30):
        lone.raw.tick()
    assert lone.role is Role.FOLLOWER
    said = lone.raw.ready().messages if lone.raw.has_ready() else []
    assert [each for each in said if each.type in (VOTE, PRE_VOTE)] == []


def test_whoever_has_applied_all_changes_campaigns() -> None:
    lone = with_unapplied_change()
    lone.work()
    lone.raw.campaign()
    assert lone.role is Role.PRE_CANDIDATE


def test_a_page_without_changes_does_not_hinder() -> None:
    lone = Lone()
    lone.raw.step(
        lone.message(APPEND, 2, index=1, log_term=1, entries=[Entry(term=1, index=2)], commit=2)
    )
    lone.raw.campaign()
    assert lone.role is Role.PRE_CANDIDATE


def test_a_learner_gives_its_vote() -> None:
    lone = Lone(id=9, conf=ConfState(voters=[1, 2, 3], learners=[9]))
    (answer,) = lone.hear(VOTE, 2, term=2, index=1, log_term=1)
    assert answer.reject is False


def test_both_halves_of_a_joint_configuration_are_asked_and_needed() -> None:
    lone = Lone(conf=ConfState(voters=[1, 2], voters_outgoing=[1, 3]), pre_vote=False)
    lone.raw.campaign()
    assert kinds(lone.work()) == [("VOTE", 2), ("VOTE", 3)]
    lone.hear(VOTE_RESPONSE, 2)
    assert lone.role is Role.CANDIDATE
    lone.hear(VOTE_RESPONSE, 3)
    assert lone.raw.is_leader


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (APPEND, [("APPEND_RESPONSE", 2)]),
        (HEARTBEAT, [("APPEND_RESPONSE", 2)]),
        (PRE_VOTE, [("PRE_VOTE_RESPONSE", 2)]),
        (VOTE, []),
        (RaftMessage.TYPE_SNAPSHOT, []),
        (VOTE_RESPONSE, []),
        (TIMEOUT_NOW, []),
    ],
)
def test_lower_terms_change_nothing_but_may_be_answered(
    kind: Kind, expected: list[tuple[str, int]]
) -> None:
    lone = Lone(term=5)
    said = lone.hear(kind, 2, term=4)
    assert kinds(said) == expected
    assert all(each.term == 5 for each in said)
    assert (lone.role, lone.raw.term, lone.raw.leader) == (Role.FOLLOWER, 5, 0)


@pytest.mark.parametrize("kind", [APPEND, HEARTBEAT])
def test_without_pre_vote_and_check_quorum_lower_terms_need_no_answer(kind: Kind) -> None:
    assert Lone(term=5, pre_vote=False, check_quorum=False).hear(kind, 2, term=4) == []


def test_a_leader_steps_down_when_it_hears_of_a_higher_term() -> None:
    lone = Lone()
    lone.lead()
    lone.hear(RaftMessage.TYPE_APPEND_RESPONSE, 2, term=9)
    assert (lone.role, lone.raw.term, lone.raw.leader) == (Role.FOLLOWER, 9, 0)


@pytest.mark.parametrize("kind", [APPEND, HEARTBEAT, RaftMessage.TYPE_SNAPSHOT])
@pytest.mark.parametrize("ahead", [0, 4])
@pytest.mark.parametrize("pre_vote", [True, False])
def test_a_candidate_gives_up_for_a_leader(kind: Kind, ahead: int, pre_vote: bool) -> None:
    lone = Lone(pre_vote=pre_vote)
    lone.raw.campaign()
    lone.work()
    term = lone.raw.term + ahead
    lone.hear(kind, 3, term=term)
    assert (lone.role, lone.raw.term, lone.raw.leader) == (Role.FOLLOWER, term, 3)


def test_messages_without_a_term_mean_nothing() -> None:
    lone = Lone(term=0)
    assert lone.hear(HEARTBEAT, 2, term=0) == []
    assert lone.raw.leader == 0


def test_a_message_of_no_known_type_means_nothing() -> None:
    lone = Lone()
    assert lone.hear(RaftMessage.TYPE_UNSPECIFIED, 2) == []


def test_a_leader_that_hears_no_quorum_steps_down() -> None:
    lone = Lone()
    lone.lead()
    lone.hear(HEARTBEAT_RESPONSE, 2)
    lone.tick(10)
    assert lone.role is Role.LEADER
    lone.tick(9)
    assert lone.role is Role.LEADER
    lone.tick()
    assert (lone.role, lone.raw.term, lone.raw.leader) == (Role.FOLLOWER, 2, 0)


@pytest.mark.parametrize("conf", [THREE, ConfState(voters=[1, 2, 3], learners=[4, 5])])
def test_the_quorum_that_keeps_a_leader_is_of_voters(conf: ConfState) -> None:
    lone = Lone(conf=conf)
    lone.lead()
    for _ in range(2):
        lone.tick(5)
        for learner in conf.learners:
            lone.hear(HEARTBEAT_RESPONSE, learner)
    assert lone.role is Role.FOLLOWER


def test_a_leader_is_active_itself_however_slow_its_disk_is() -> None:
    lone = Lone(pre_vote=False)
    lone.raw.campaign()
    lone.work()
    lone.raw.step(lone.message(VOTE_RESPONSE, 2))
    lone.raw.ready()  # its first entry is never persisted
    lone.raw.step(lone.message(HEARTBEAT_RESPONSE, 2))
    for _ in range(10):
        lone.raw.tick()
    assert lone.raw.is_leader


def test_without_check_quorum_a_leader_stays() -> None:
    lone = Lone(check_quorum=False)
    lone.lead()
    lone.tick(100)
    assert lone.role is Role.LEADER


# The commit index that vote requests and answers carry.


def committed(index: int, term: int) -> list[Entry]:
    return [Entry(index=index, term=term)]


ELECTION = [VOTE, PRE_VOTE, VOTE_RESPONSE, PRE_VOTE_RESPONSE]


@pytest.mark.parametrize("kind", ELECTION)
@pytest.mark.parametrize("term", [1, 3, 9])
@pytest.mark.parametrize(
    ("entry", "expected"),
    [((3, 2), 3), ((2, 1), 2), ((3, 1), 1), ((4, 2), 1), ((1, 1), 1)],
)
def test_what_an_election_tells_to_be_committed_is(
    kind: Kind, term: int, entry: tuple[int, int], expected: int
) -> None:
    lone = Lone(1, 2, term=3)
    lone.hear(kind, 2, term=term, reject=True, entries=committed(*entry))
    assert (lone.raw.committed, lone.raw.applied) == (expected, expected)


@pytest.mark.parametrize("kind", ELECTION)
def test_a_leader_believes_nobody_about_commits(kind: Kind) -> None:
    lone = Lone(1)
    lone.lead()
    lone.hear(kind, 2, entries=committed(2, 1))
    assert (lone.raw.committed, lone.raw.is_leader) == (1, True)


def test_requests_and_answers_tell_what_is_committed() -> None:
    lone = Lone(1, 2, commit=2, pre_vote=False)
    for term, index in ((3, 9), (4, 1)):  # granted, rejected
        (answer,) = lone.hear(VOTE, 2, term=term, index=index, log_term=2)
        assert list(answer.entries) == committed(2, 1)
    lone.raw.campaign()
    assert [list(each.entries) for each in lone.work()] == [committed(2, 1)] * 2
    joiner = Lone(conf=ConfState())
    (answer,) = joiner.hear(VOTE, 2, term=3, index=9, log_term=2)
    assert list(answer.entries) == []


def test_a_candidate_that_learns_of_a_change_asks_others() -> None:
    lone = Lone()
    removal = conf_change((REMOVE, 2)).SerializeToString()
    change = Entry(term=1, index=2, type=Entry.TYPE_CONF_CHANGE, data=removal)
    command = Entry(term=1, index=3)
    lone.hear(APPEND, 2, index=1, log_term=1, entries=[change, command])
    lone.raw.campaign()
    lone.work()
    lone.hear(PRE_VOTE_RESPONSE, 3, term=2, entries=committed(2, 1))
    assert (lone.role, lone.raw.applied) == (Role.FOLLOWER, 2)
    lone.raw.campaign()
    assert kinds(lone.work()) == [("PRE_VOTE", 3)]
    lone.raw.step(lone.message(PRE_VOTE, 3, entries=committed(3, 1)))
    assert lone.role is Role.PRE_CANDIDATE  # a command is no reason to give up
