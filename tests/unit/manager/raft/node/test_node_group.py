"""A group of three nodes at work: writes, reads, changes of the leader."""

import asyncio
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import RaftMessage
from manager.raft.node.node import ENTRY_BYTES, READ_DEADLINE
from manager.raft.node.ticker import TICK
from tests.support.node_group import Group, group
from tests.support.until import until

ALL = (1, 2, 3)


def all_told(g: Group, words: list[bytes]) -> bool:
    return all(g.told(each) == words for each in ALL)


def test_a_word_reaches_all(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            assert [node.is_leader for node in g.running] == [True, False, False]
            near = object()
            index = await g.done(g.leader.append(b"one", near))
            await g.tick(3)
            assert all_told(g, [b"one"])
            assert {node.applied for node in g.running} == {index}
            assert [g.stations[each].words.locals for each in (1, 2)] == [[near], [None]]

    asyncio.run(scenario())


def test_many_that_write_at_once_share_few_messages_and_keep_their_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            appends = []

            def count(message: RaftMessage) -> bool:
                if message.type == RaftMessage.TYPE_APPEND and message.entries:
                    appends.append(message)
                return False

            g.drops = count
            words = [b"%d" % n for n in range(300)]
            answers = await g.done(asyncio.gather(*map(g.leader.append, words)))
            indexes = [each for each in answers if isinstance(each, int)]
            assert indexes == list(range(indexes[0], indexes[0] + 300))
            await g.tick_until(lambda: all_told(g, words))
            assert len(appends) < 20

    asyncio.run(scenario())


def test_large_entries_are_proposed_in_several_rounds(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            words = [b"%d" % n * (700 << 10) for n in range(8)]
            await g.done(asyncio.gather(*map(g.leader.append, words)))
            await g.tick_until(lambda: all_told(g, words))

    asyncio.run(scenario())


def test_what_only_a_leader_can_do_names_the_leader_elsewhere(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            with pytest.raises(SwarmError, match=r"does not lead.*host1:2377") as refused:
                await g[2].append(b"one")
            assert refused.value.code is Code.UNAVAILABLE
            assert (g[2].leader_id, g[2].leader) == (1, g[1].members[1])

    asyncio.run(scenario())


def test_an_entry_that_fits_into_no_message_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            with pytest.raises(SwarmError, match="too large") as refused:
                await g.leader.append(bytes(ENTRY_BYTES + 1))
            assert refused.value.code is Code.INVALID
            await g.done(g.leader.append(b"x" * ENTRY_BYTES))

    asyncio.run(scenario())


def test_the_machines_refusal_reaches_the_caller(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            with pytest.raises(SwarmError, match="a bad word"):
                await g.done(g.leader.append(b"bad"))
            await g.done(g.leader.append(b"good"))

    asyncio.run(scenario())


def test_a_lost_leader_is_replaced_and_its_writes_are_of_unknown_outcome(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            old, term = g.leader, g.leader.term
            await g.done(old.append(b"before"))
            g.cut.add(1)
            lost = asyncio.create_task(old.append(b"lost"))
            await g.tick_until(lambda: lost.done() and bool(g.leaders))
            with pytest.raises(SwarmError, match="not known") as unknown:
                lost.result()
            assert (unknown.value.code, "request id" in unknown.value.remedy) == (
                Code.UNAVAILABLE,
                True,
            )
            assert (g.leader.raft_id != 1, g.leader.term > term, old.is_leader) == (
                True,
                True,
                False,
            )
            await g.done(g.leader.append(b"after"))
            g.cut.clear()
            await g.tick_until(lambda: all_told(g, [b"before", b"after"]))
            assert old.leader_id == g.leader.raft_id

    asyncio.run(scenario())


def test_a_write_that_waits_for_room_fails_when_the_leadership_is_lost(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            g.cut.update((2, 3))
            word = b"x" * ENTRY_BYTES
            calls = [asyncio.create_task(g[1].append(word)) for _ in range(30)]
            await g.tick_until(lambda: all(call.done() for call in calls))
            errors = [str(call.exception()) for call in calls]
            unknown = sum("not known" in error for error in errors)
            undone = sum("does not lead" in error for error in errors)
            assert unknown + undone == 30
            assert unknown >= 20
            assert undone >= 5

    asyncio.run(scenario())


def test_a_caller_that_gave_up_before_his_turn_writes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            calls = [asyncio.create_task(g.leader.append(word)) for word in (b"one", b"two")]
            await asyncio.sleep(0)
            calls[1].cancel()
            await g.done(calls[0])
            assert g.told(1) == [b"one"]

    asyncio.run(scenario())


def test_who_subscribes_is_told_of_every_change(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            seen: list[tuple[bool, int]] = []
            g[1].subscribe(lambda: seen.append((g[1].is_leader, g[1].leader_id)))
            g.cut.add(1)
            await g.tick_until(lambda: bool(g.leaders) and not g[1].is_leader)
            leader = g.leader.raft_id
            g.cut.clear()
            await g.tick_until(lambda: g[1].leader_id == leader)
            assert (seen[0], seen[-1]) == ((False, 0), (False, leader))

    asyncio.run(scenario())


def test_leading_is_waited_for_until_the_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            waiting = [asyncio.create_task(node.leading()) for node in g.running]
            await g.tick(2)
            assert [task.done() for task in waiting] == [True, False, False]
            await g.done(g.leader.hand_over(3))
            await g.tick_until(lambda: g[3].is_leader)
            assert [task.done() for task in waiting] == [True, False, True]
            await g.stop()
            with pytest.raises(SwarmError, match="stopping"):
                await waiting[1]

    asyncio.run(scenario())


@pytest.mark.parametrize("reader", ALL)
def test_a_read_sees_what_was_acknowledged_before(tmp_path: Path, reader: int) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            await g.done(g.leader.append(b"one"))
            await g.done(g[reader].read_barrier())
            assert g.told(reader) == [b"one"]

    asyncio.run(scenario())


def test_a_read_waits_until_a_lagging_member_has_applied(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            g.drops = lambda m: m.type == RaftMessage.TYPE_APPEND and m.to == 3
            await g.done(g.leader.append(b"one"))
            read = asyncio.create_task(g[3].read_barrier())
            await g.tick(8)
            assert (read.done(), g.told(3)) == (False, [])
            g.drops = lambda _: False
            await g.done(read)
            assert g.told(3) == [b"one"]

    asyncio.run(scenario())


def test_reads_that_wait_share_a_round_and_a_lost_one_is_asked_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            asked: list[RaftMessage] = []

            def lose_first(message: RaftMessage) -> bool:
                if message.type != RaftMessage.TYPE_READ_INDEX:
                    return False
                asked.append(message)
                return len(asked) == 1

            g.drops = lose_first
            await g.done(asyncio.gather(*(g[2].read_barrier() for _ in range(50))))
            assert len(asked) == 2

    asyncio.run(scenario())


def test_a_read_goes_on_with_the_next_leader(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            await g.done(g.leader.append(b"one"))
            g.cut.add(1)
            read = asyncio.create_task(g[2].read_barrier())
            await g.done(read)
            assert (g[2].leader_id != 1, g.told(2)) == (True, [b"one"])

    asyncio.run(scenario())


def test_a_read_is_asked_again_as_soon_as_another_leads(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            g.drops = lambda m: m.type == RaftMessage.TYPE_READ_INDEX and m.to == 1
            read = asyncio.create_task(g[2].read_barrier())
            await g.quiet()
            handing = asyncio.create_task(g[1].hand_over(3))
            await until(lambda: handing.done() and read.done())  # no tick has passed
            assert await handing
            await read

    asyncio.run(scenario())


def test_who_was_elected_leads_once_its_state_is_current(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            await g.tick(2)
            g.drops = lambda m: m.type == RaftMessage.TYPE_APPEND
            await g.done(g[1].hand_over(3))
            assert (g[3].leader_id, g[3].is_leader, g[1].is_leader) == (3, False, False)
            g.drops = lambda _: False
            await g.tick_until(lambda: g[3].is_leader)

    asyncio.run(scenario())


def test_a_leader_that_is_alone_promises_no_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            g.cut.update((2, 3))
            began = g.clock()
            read = asyncio.create_task(g[1].read_barrier())
            await g.tick_until(read.done)
            with pytest.raises(SwarmError, match="cannot be told") as refused:
                read.result()
            assert refused.value.code is Code.UNAVAILABLE
            assert g.clock() - began == pytest.approx(READ_DEADLINE, abs=2 * TICK)

    asyncio.run(scenario())


def test_a_leader_that_hears_the_others_is_certain_to_lead(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            await g.done(g[1].confirm_lead())
            with pytest.raises(SwarmError, match=r"does not lead.*host1:2377") as refused:
                await g[2].confirm_lead()
            assert refused.value.code is Code.UNAVAILABLE

    asyncio.run(scenario())


@pytest.mark.parametrize("comes_back", [False, True])
def test_who_was_replaced_as_leader_did_not_lead(tmp_path: Path, comes_back: bool) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            g.cut.add(1)
            await g.tick(3)
            assert g[1].is_leader
            confirmed = asyncio.create_task(g[1].confirm_lead())
            read = asyncio.create_task(g[1].read_barrier())
            await g.tick_until(lambda: g[2].is_leader or g[3].is_leader)
            if comes_back:
                g.drops = lambda m: m.type == RaftMessage.TYPE_READ_INDEX
                g.cut.clear()
                await g.tick_until(lambda: g[1].leader_id in (2, 3))
                await g.done(g.leader.hand_over(1))
                await g.tick_until(lambda: g[1].is_leader)
            g.cut.clear()
            await g.done(read)
            assert g[1].is_leader == comes_back
            with pytest.raises(SwarmError, match="does not lead") as refused:
                await confirmed
            assert refused.value.code is Code.UNAVAILABLE

    asyncio.run(scenario())


@pytest.mark.parametrize("to", [0, 2, 3])
def test_leadership_is_handed_over(tmp_path: Path, to: int) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            await g.done(g.leader.append(b"one"))
            assert await g.done(g.leader.hand_over(to)) is True
            await g.tick_until(lambda: bool(g.leaders))
            assert g.leader.raft_id in ({to} if to else {2, 3})
            await g.done(g.leader.append(b"two"))
            await g.tick_until(lambda: all_told(g, [b"one", b"two"]))

    asyncio.run(scenario())


def test_nobody_takes_over_who_cannot(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            assert await g[2].hand_over() is True
            g.drops = lambda m: m.type == RaftMessage.TYPE_TIMEOUT_NOW
            assert await g.done(g[1].hand_over(3)) is False
            assert g[1].is_leader
            g.drops = lambda _: False
            await g.tick(2)
            await g.done(g[1].append(b"one"))

    asyncio.run(scenario())


def test_a_write_during_the_hand_over_is_told_to_come_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            g.drops = lambda m: m.type == RaftMessage.TYPE_TIMEOUT_NOW
            handing = asyncio.create_task(g[1].hand_over(3))
            await g.tick()
            with pytest.raises(SwarmError, match="leadership is being transferred"):
                await g.done(g[1].append(b"one"))
            await g.done(handing)

    asyncio.run(scenario())


def test_who_was_heard_of_is_known(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            await g.tick(3)
            g.cut.add(3)
            since = g.clock()
            await g.tick(5)
            assert (g[1].last_heard[2] > since, g[1].last_heard[3] <= since) == (True, True)

    asyncio.run(scenario())
