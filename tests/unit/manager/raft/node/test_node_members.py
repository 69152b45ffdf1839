"""A group of nodes whose members come, change and go."""

import asyncio
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import ConfChange, Member, MemberChange, RaftMessage, SnapshotMetadata
from tests.support.node_group import change, group, member

ADD_VOTER = MemberChange.TYPE_ADD_VOTER
ADD_LEARNER = MemberChange.TYPE_ADD_LEARNER
REMOVE = MemberChange.TYPE_REMOVE


def test_a_learner_gets_all_and_does_not_count(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path, 2) as g:
            learner = await g.add_learner(3)
            await g.done(g.leader.append(b"one"))
            await g.tick_until(lambda: g.told(3) == [b"one"])
            assert sorted(learner.status().config.learners) == [3]
            g.cut.add(2)
            await g.tick_until(lambda: not g.leaders)

    asyncio.run(scenario())


def test_a_promoted_learner_counts(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path, 2) as g:
            await g.add_learner(3)
            await g.changed(change(ADD_VOTER, 3))
            g.cut.add(2)
            await g.done(g.leader.append(b"one"))
            assert (g.told(1), g.leader.raft_id) == ([b"one"], 1)

    asyncio.run(scenario())


def test_a_removed_follower_is_refused_for_ever(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            await g.changed(change(REMOVE, 3))
            assert sorted(g[1].members) == [1, 2]
            assert sorted(g.stations[1].wire.members) == [2]
            await g.tick(40)
            assert {error.code for error in g.refused} <= {Code.REFUSED}
            assert (g.leader.raft_id, g[2].admits(3, "node3") is None) == (1, False)
            last = g.leader.status().last_index
            for kind in (ADD_VOTER, ADD_LEARNER):
                with pytest.raises(SwarmError, match="removed for ever") as refused:
                    await g.leader.change_members(change(kind, 3))
                assert refused.value.code is Code.REFUSED
            assert g.leader.status().last_index == last
            await g.done(g.leader.append(b"one"))

    asyncio.run(scenario())


def test_a_removed_leader_steps_down_and_another_leads(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            await g.changed(change(REMOVE, 1))
            assert (g[1].is_leader, g[1].removed) == (False, True)
            await g.tick_until(lambda: [node.raft_id != 1 for node in g.leaders] == [True])
            await g.done(g.leader.append(b"one"))
            await g.tick_until(lambda: g.told(2) == g.told(3) == [b"one"])
            assert sorted(g.leader.members) == [2, 3]

    asyncio.run(scenario())


def test_of_two_changes_at_once_one_is_told_to_come_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            await g.add_learner(4)
            outcomes = await g.done(
                asyncio.gather(
                    g.leader.change_members(change(ADD_VOTER, 4)),
                    g.leader.change_members(change(REMOVE, 3)),
                    return_exceptions=True,
                )
            )
            first, second = outcomes
            assert first is None
            assert isinstance(second, SwarmError)
            assert second.code is Code.CONFLICT
            await g.changed(change(REMOVE, 3))
            assert sorted(g.leader.members) == [1, 2, 4]

    asyncio.run(scenario())


def test_many_changes_follow_each_other_without_a_conflict(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path, 1) as g:
            for raft_id in range(2, 7):
                await g.add_learner(raft_id)
                await g.changed(change(ADD_VOTER, raft_id))
            for raft_id in range(2, 7):
                await g.changed(change(REMOVE, raft_id))
            await g.done(g.leader.append(b"one"))
            assert (g.leader.raft_id, sorted(g.leader.members)) == (1, [1])

    asyncio.run(scenario())


def test_a_member_that_was_cut_off_when_it_was_removed_is_told_so_by_the_others(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            g.cut.add(3)
            await g.changed(change(REMOVE, 3))
            await g.tick(5)
            assert not g[3].removed
            told: list[bool] = []
            g[3].subscribe(lambda: told.append(g[3].removed))
            g.cut.clear()
            await g.tick_until(lambda: g[3].removed)
            assert told[-1]

    asyncio.run(scenario())


def test_only_a_removal_is_for_ever(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            g[3].refused(SwarmError(Code.REFUSED, "this manager belongs to another group"))
            g[3].refused(SwarmError(Code.UNAVAILABLE, "it is away", field="greeting.from"))
            assert not g[3].removed

    asyncio.run(scenario())


def test_several_members_are_replaced_by_one_change(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            for raft_id in (4, 5):
                await g.add_learner(raft_id)
            changes = [
                *change(ADD_VOTER, 4).changes,
                *change(ADD_VOTER, 5).changes,
                *change(REMOVE, 2).changes,
                *change(REMOVE, 3).changes,
            ]
            await g.changed(ConfChange(changes=changes))
            await g.tick_until(lambda: sorted(g.leader.members) == [1, 4, 5])
            assert g.leader.admits(2, "node2") is not None

    asyncio.run(scenario())


def test_only_the_leader_changes_the_group(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            with pytest.raises(SwarmError, match="does not lead"):
                await g[2].change_members(change(REMOVE, 3))
            assert sorted(g[1].members) == [1, 2, 3]

    asyncio.run(scenario())


def test_a_member_that_moved_is_known_at_its_new_address(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            moved = MemberChange(
                type=MemberChange.TYPE_UPDATE, member=Member(raft_id=3, address="else:2377")
            )
            await g.changed(ConfChange(changes=[moved]))
            await g.tick(3)
            known = Member(raft_id=3, node_id="node3", address="else:2377")
            assert [g.stations[each].wire.members[3] for each in (1, 2)] == [known, known]

    asyncio.run(scenario())


def test_a_new_member_of_a_long_log_begins_with_a_snapshot(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path, 2, interval=50) as g:
            words = [b"%d" % n for n in range(1200)]
            await g.changed(change(REMOVE, 2))
            await g.done(asyncio.gather(*map(g.leader.append, words)))
            await g.tick(2)
            assert g.leader.status().first_index > 500
            learner = await g.add_learner(3)
            assert (g.told(3), g.stations[3].words.installed) == (words, 1)
            assert dict(learner.members) == {1: member(1), 3: member(3)}
            assert learner.admits(2, "node2") is not None
            await g.changed(change(ADD_VOTER, 3))
            await g.stations[3].stop()
            g.stations[3].start([1, 3])
            await g.done(g.leader.append(b"more"))
            await g.tick_until(lambda: g.told(3) == [*words, b"more"])

    asyncio.run(scenario())


def test_a_snapshot_that_is_gone_is_replaced_by_the_next(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path, 1, interval=10) as g:
            await g.done(asyncio.gather(*(g.leader.append(b"%d" % n) for n in range(600))))
            await g.quiet()
            old = g.leader.status().first_index
            await g.done(asyncio.gather(*(g.leader.append(b"%d" % n) for n in range(600))))
            with pytest.raises(SwarmError, match="is gone"):
                await g.leader.snapshot_data(SnapshotMetadata(index=old, term=g.leader.term))

    asyncio.run(scenario())


def test_a_joiner_waits_to_be_let_in(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path, 1) as g:
            joiner = g.station(2).start([1, 2])
            await g.tick(50)
            assert (joiner.is_leader, joiner.term, sorted(joiner.members)) == (False, 0, [1, 2])
            await g.changed(change(ADD_LEARNER, 2))
            await g.done(g.leader.append(b"one"))
            await g.tick_until(lambda: g.told(2) == [b"one"])

    asyncio.run(scenario())


def test_a_joiner_answers_who_leads_now_though_its_log_begins_with_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that comes at first is an entry that knows nobody but a member who is gone."""

    async def scenario() -> None:
        async with group(tmp_path, 1) as g:
            await g.add_learner(2)
            await g.changed(change(ADD_VOTER, 2))
            await g.changed(change(REMOVE, 1))
            await g.tick_until(lambda: [each.raft_id for each in g.leaders] == [2])
            joiner, carry = g.station(3).start([2, 3]), g.carry

            def begins(sender: int, message: RaftMessage) -> None:
                if message.to == 3 and message.entries:
                    del message.entries[1:]
                    message.commit = min(message.commit, message.entries[0].index)
                if sender != 3 or message.reject:
                    carry(sender, message)  # that it took something in is lost

            monkeypatch.setattr(g, "carry", begins)
            await g.changed(change(ADD_LEARNER, 3))
            await g.tick_until(lambda: joiner.applied == 1)
            monkeypatch.setattr(g, "carry", carry)
            assert sorted(joiner.members) == [1, 2, 3]
            await g.done(g.leader.append(b"one"))
            await g.tick_until(lambda: g.told(3) == [b"one"])
            assert sorted(joiner.members) == [2, 3]

    asyncio.run(scenario())


def test_who_comes_under_another_certificate_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path, 2) as g:
            assert g[1].admits(2, "node2") is None
            assert g[1].admits(9, "node9") is None  # may have joined while this one was away
            refusal = g[1].admits(2, "node9")
            assert refusal is not None
            assert (refusal.code, "another node" in str(refusal)) == (Code.REFUSED, True)

    asyncio.run(scenario())


def test_answers_of_strangers_change_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path, 1) as g:
            stray = RaftMessage(type=RaftMessage.TYPE_APPEND_RESPONSE, to=1, term=g[1].term)
            setattr(stray, "from", 9)
            await g[1].receive([stray])
            await g.done(g.leader.append(b"one"))

    asyncio.run(scenario())
