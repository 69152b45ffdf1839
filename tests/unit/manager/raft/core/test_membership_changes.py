"""Changes of the configuration: what is admitted, when it takes effect, and what it sets off."""

import pytest

from api.v1.raft_pb2 import ConfChange, ConfState, Entry, RaftMessage
from manager.raft.core.errors import ConfChangeError
from manager.raft.core.ready import Role
from manager.raft.core.storage import MemoryStorage
from tests.support.raft_entries import ADD, LEARN, REMOVE, UPDATE, conf_change
from tests.support.raft_group import Group, Host, group
from tests.support.raft_lone import Lone, kinds

CHANGE, COMMAND = Entry.TYPE_CONF_CHANGE, Entry.TYPE_COMMAND
EXPLICIT = ConfChange.TRANSITION_EXPLICIT
IMPLICIT = ConfChange.TRANSITION_IMPLICIT
LEAVE = ConfChange()


def joiner(member: int) -> Host:
    return Host(member, MemoryStorage())


def conf(host: Host) -> ConfState:
    return host.raw.status().config.conf_state()


def last_type(host: Host) -> Entry.Type.ValueType:
    """The type of the entry that the member stored last."""
    last = host.storage.last_index()
    return host.storage.entries(last, last + 1, 1 << 20)[0].type


def led(*voters: int) -> Group:
    made = group(*voters)
    made.elect(voters[0])
    return made


def current(lone: Lone) -> Lone:
    """Leads, and has committed and applied an entry of its term."""
    lone.lead()
    for each in sorted(lone.raw.status().config.voters.ids() - {1}):
        lone.accept(each)
    return lone


# What takes effect.


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (conf_change((ADD, 4)), ConfState(voters=[1, 2, 3, 4])),
        (conf_change((LEARN, 4)), ConfState(voters=[1, 2, 3], learners=[4])),
        (conf_change((REMOVE, 2)), ConfState(voters=[1, 3])),
        (conf_change((LEARN, 2)), ConfState(voters=[1, 3], learners=[2])),
        (conf_change((UPDATE, 2)), ConfState(voters=[1, 2, 3])),
        (conf_change((ADD, 4), (REMOVE, 3)), ConfState(voters=[1, 2, 4])),
        (conf_change((ADD, 4), transition=IMPLICIT), ConfState(voters=[1, 2, 3, 4])),
        (
            conf_change((ADD, 4), transition=EXPLICIT),
            ConfState(voters=[1, 2, 3, 4], voters_outgoing=[1, 2, 3]),
        ),
        (
            conf_change((LEARN, 3), (ADD, 4), transition=EXPLICIT),
            ConfState(voters=[1, 2, 4], voters_outgoing=[1, 2, 3], learners_next=[3]),
        ),
    ],
)
def test_a_change_takes_effect_on_all_that_stay(change: ConfChange, expected: ConfState) -> None:
    made = led(1, 2, 3)
    made.add(joiner(4))
    made.change(change)
    made.tick(4)
    stay = {*expected.voters, *expected.learners, *expected.voters_outgoing}
    assert {each: conf(made[each]) for each in sorted(stay)} == dict.fromkeys(stay, expected)


def test_an_explicit_joint_configuration_is_left_by_an_empty_change() -> None:
    made = led(1, 2, 3)
    made.change(conf_change((LEARN, 3), (ADD, 2), transition=EXPLICIT))
    assert conf(made[1]).voters_outgoing == [1, 2, 3]
    made.change(LEAVE)
    assert conf(made[3]) == ConfState(voters=[1, 2], learners=[3])


def test_a_learner_is_brought_up_to_date_and_promoted() -> None:
    made = led(1)
    made.add(joiner(2))
    made.change(conf_change((LEARN, 2)))
    made.propose(b"a")
    made.tick(4)
    assert made[2].commands == [b"a"]
    made.change(conf_change((ADD, 2)))
    made.isolate(2)
    before = made[1].raw.committed
    made.propose(b"b")
    assert made[1].raw.committed == before
    made.heal()
    made.tick(4)
    assert made[2].commands == [b"a", b"b"]


def test_a_joiner_is_helped_by_a_snapshot_that_is_older_than_its_joining() -> None:
    made = led(1, 2)
    made.propose(b"a")
    made[1].compact()
    made.add(joiner(3))
    made.change(conf_change((ADD, 3)))
    made.tick(4)
    assert conf(made[3]) == ConfState(voters=[1, 2, 3])
    made.stop(2)
    made.propose(b"b")
    assert made[3].commands == [b"b"]


def test_a_new_member_is_probed_without_waiting_for_a_heartbeat() -> None:
    made = led(1, 2)
    made.forget()
    made.change(conf_change((ADD, 3)))
    assert len(made.said(RaftMessage.TYPE_APPEND, to=3)) == 1


def test_a_smaller_quorum_commits_what_waited() -> None:
    lone = current(Lone(conf=ConfState(voters=[1, 2, 3])))
    lone.raw.propose_conf_change(conf_change((REMOVE, 3)))
    lone.raw.propose(b"x")
    lone.raw.propose(b"y")
    lone.work()
    lone.accept(2, 4)  # 3 and 4 commit; with 3 gone, 1 and 2 are all
    assert lone.raw.committed == 4
    pair = current(Lone(conf=ConfState(voters=[1, 2])))
    pair.raw.propose_conf_change(conf_change((REMOVE, 2)))
    pair.raw.propose(b"x")
    pair.work()
    pair.accept(2, 3)
    assert (pair.raw.committed, pair.commands) == (4, [b"x"])


# What is not admitted.


def refused(lone: Lone, change: ConfChange) -> bool:
    """Whether an empty command was appended in the change's place."""
    lone.raw.propose_conf_change(change)
    lone.work()
    return last_type(lone) == COMMAND


def test_a_second_change_waits_for_the_first_to_be_applied() -> None:
    lone = current(Lone())
    assert not refused(lone, conf_change((ADD, 4)))
    assert refused(lone, conf_change((ADD, 5)))
    assert "may not be applied yet" in lone.traced[-1]
    lone.accept(2)
    lone.accept(3)
    assert not refused(lone, conf_change((ADD, 5)))


def test_no_change_before_the_first_commit_of_the_term() -> None:
    """The flaw of 2015: leaders that change without a commit of their own can split the group."""
    lone = Lone(1, commit=2)
    lone.work()
    lone.lead()
    assert lone.raw.applied == 2
    assert refused(lone, conf_change((ADD, 4)))
    assert "no entry of this term" in lone.traced[-1]
    lone.accept(2)
    assert not refused(lone, conf_change((ADD, 4)))


def test_no_change_before_the_log_of_earlier_terms_is_applied() -> None:
    lone = Lone(1, 1)
    lone.lead()
    assert refused(lone, conf_change((ADD, 4)))
    assert "the change at 3 may not be applied yet" in lone.traced[-1]


@pytest.mark.parametrize(
    ("before", "change"),
    [
        (ConfState(voters=[1, 2]), LEAVE),
        (ConfState(voters=[1, 2]), conf_change((REMOVE, 1), (REMOVE, 2))),
        (ConfState(voters=[1, 2]), conf_change((ADD, 0))),
        (ConfState(voters=[1, 2], voters_outgoing=[1]), conf_change((ADD, 3))),
        (ConfState(voters=[1, 2], voters_outgoing=[1]), conf_change((ADD, 3), (ADD, 4))),
    ],
)
def test_what_the_configuration_does_not_admit_becomes_an_empty_entry(
    before: ConfState, change: ConfChange
) -> None:
    lone = current(Lone(conf=before))
    assert refused(lone, change)
    lone.accept(2)
    assert (conf(lone), lone.commands) == (before, [])


def test_a_change_that_cannot_be_read_becomes_an_empty_entry() -> None:
    lone = current(Lone())
    entry = Entry(type=CHANGE, data=b"\xff\xff")
    lone.hear(RaftMessage.TYPE_PROPOSE, 2, term=0, entries=[entry, Entry(data=b"x")])
    lone.accept(2)
    assert lone.commands == [b"x"]
    assert {each.type for each in lone.applied} == {COMMAND}


def test_of_two_changes_proposed_together_the_first_is_taken() -> None:
    lone = current(Lone())
    both = [
        Entry(type=CHANGE, data=conf_change((ADD, each)).SerializeToString()) for each in (4, 5)
    ]
    lone.hear(RaftMessage.TYPE_PROPOSE, 2, term=0, entries=[Entry(data=b"x"), *both])
    assert refused(lone, conf_change((ADD, 6)))
    lone.accept(2, 3)  # the command before the change
    assert lone.raw.applied == 3
    assert refused(lone, conf_change((ADD, 6)))
    lone.accept(2)
    assert conf(lone) == ConfState(voters=[1, 2, 3, 4])


def test_a_change_that_did_not_fit_is_not_waited_for() -> None:
    lone = current(Lone(max_uncommitted_size=10))
    lone.raw.propose(bytes(10))
    with pytest.raises(Exception, match="not committed yet"):
        lone.raw.propose_conf_change(conf_change((ADD, 4)))
    lone.work()
    lone.accept(2)
    assert not refused(lone, conf_change((ADD, 4)))


def test_without_validation_the_caller_answers_for_what_it_proposes() -> None:
    lone = current(Lone(disable_conf_change_validation=True))
    lone.raw.propose_conf_change(conf_change((ADD, 4)))
    lone.raw.propose_conf_change(conf_change((ADD, 5)))
    lone.work()
    lone.accept(2)
    lone.accept(3)
    assert conf(lone) == ConfState(voters=[1, 2, 3, 4, 5])
    with pytest.raises(ConfChangeError):
        lone.raw.apply_conf_change(LEAVE)
    assert conf(lone) == ConfState(voters=[1, 2, 3, 4, 5])


def test_a_change_that_the_caller_refuses_changes_nothing() -> None:
    lone = current(Lone())
    assert lone.raw.apply_conf_change(None) == ConfState(voters=[1, 2, 3])


# Who leaves.


@pytest.mark.parametrize("change", [(REMOVE, 1), (LEARN, 1)])
@pytest.mark.parametrize("step_down", [True, False])
def test_a_leader_that_votes_no_more_steps_down_if_told_to(
    change: tuple[int, int], step_down: bool
) -> None:
    lone = current(Lone(step_down_on_removal=step_down))
    lone.raw.propose_conf_change(conf_change(change))  # type: ignore[arg-type]
    lone.work()
    lone.accept(2)
    lone.accept(3)
    assert lone.role is (Role.FOLLOWER if step_down else Role.LEADER)
    assert (lone.raw.term, lone.raw.leader) == (2, 0 if step_down else 1)


def test_the_others_go_on_without_their_leader() -> None:
    made = led(1, 2, 3)
    made.change(conf_change((REMOVE, 1)))
    assert conf(made[2]) == conf(made[3]) == ConfState(voters=[2, 3])
    made.tick(25, 2, 3)
    made.propose(b"x")
    assert made[2].commands == made[3].commands == [b"x"]
    made.forget()
    made[1].raw.campaign()
    assert not made[1].raw.has_ready()


def test_a_removed_leader_that_lingers_is_heard_no_more_once_another_leads() -> None:
    made = led(1, 2, 3)
    for host in made.hosts.values():
        host.settings["step_down_on_removal"] = False
    made.restart(1, 2, 3)
    made.elect(1)
    made.change(conf_change((REMOVE, 1)))
    assert made[1].raw.is_leader
    made.stop(1)
    made.tick(25)
    assert made.leader().id in (2, 3)


# Joint configurations that end by themselves.


def auto_joint(lone: Lone) -> Lone:
    """A leader that has entered a joint configuration which is to end by itself."""
    lone.raw.propose_conf_change(conf_change((ADD, 4), (REMOVE, 3)))
    lone.work()
    lone.accept(2)
    return lone


def test_the_leader_ends_a_joint_configuration_once_it_is_applied() -> None:
    lone = auto_joint(current(Lone()))
    assert conf(lone).auto_leave
    assert last_type(lone) == CHANGE
    lone.accept(2)
    assert conf(lone) == ConfState(voters=[1, 2, 4])


def test_it_is_ended_once() -> None:
    lone = auto_joint(current(Lone()))
    last = lone.storage.last_index()
    lone.tick(9)
    assert lone.storage.last_index() == last


def test_it_is_not_ended_while_leadership_is_handed_over_but_after() -> None:
    lone = current(Lone(check_quorum=False))
    lone.raw.propose_conf_change(conf_change((ADD, 4), (REMOVE, 3)))
    lone.raw.transfer_leader(2)
    lone.work()
    lone.accept(2, 3)
    last = lone.storage.last_index()
    assert (conf(lone).auto_leave, last) == (True, 3)
    lone.tick(10)
    assert lone.storage.last_index() == 4
    assert last_type(lone) == CHANGE


def test_a_new_leader_ends_what_an_earlier_one_began() -> None:
    made = led(1, 2, 3)
    made.add(joiner(4))
    made[1].raw.propose_conf_change(conf_change((ADD, 4), (LEARN, 3)))
    ready = made[1].raw.ready()
    made[1].persist(ready)
    for each in ready.messages:
        made[each.to].raw.step(each)
    made.stop(1)
    made.settle()
    made.tick(40, 2, 3)
    assert made[2].raw.is_leader
    made.restart(1)
    made.tick(4)
    assert conf(made[2]) == ConfState(voters=[1, 2, 4], learners=[3])


def test_a_new_leader_does_not_end_it_before_its_own_first_commit() -> None:
    joint = ConfState(voters=[1, 2], voters_outgoing=[1, 3], auto_leave=True)
    lone = Lone(conf=joint)
    lone.lead()
    lone.tick(2)
    assert lone.storage.last_index() == 2
    lone.accept(2)
    lone.accept(3)
    assert lone.storage.last_index() == 3


def test_followers_end_nothing() -> None:
    joint = ConfState(voters=[1, 2], voters_outgoing=[1, 3], auto_leave=True)
    lone = Lone(conf=joint)
    assert kinds(lone.hear(RaftMessage.TYPE_HEARTBEAT, 2)) == [("HEARTBEAT_RESPONSE", 2)]


def test_a_group_outlives_a_leader_that_left_it_by_a_change() -> None:
    """2 needs 1's vote until it knows that 1 was removed, and 1, whose log is longer, gives none.

    1, which knows, may not lead. So 2 has to learn of the commit from 1's refusal.
    """
    made = led(1, 2)
    made.only(lambda each: each.commit < 3 and all(entry.index <= 3 for entry in each.entries))
    made[1].raw.propose_conf_change(conf_change((REMOVE, 1)))
    made[1].raw.propose(b"lost")
    made.settle()
    assert (made[1].role, made[2].raw.committed) == (Role.FOLLOWER, 2)
    assert (len(made[1].log), len(made[2].log)) == (3, 2)
    made.heal()
    made.tick(25)
    assert made[2].raw.is_leader
    assert conf(made[2]) == ConfState(voters=[2])
