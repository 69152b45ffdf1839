"""Links that break, move, are refused and come back."""

import asyncio
import logging
import socket
from collections.abc import Callable

import pytest

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import Member, RaftMessage
from manager.raft.transport import retry
from manager.raft.transport.receiver import REMOVED
from tests.support.raft_station import Station, run, stations
from tests.support.trust import TrustedCluster
from tests.support.until import until

pytestmark = pytest.mark.managers

M = RaftMessage


async def arrives(one: Station, two: Station) -> None:
    """Sends until something comes over: what was sent while the link was down is lost."""
    two.received.clear()

    def sent() -> bool:
        one.send(two, M.TYPE_HEARTBEAT)
        return bool(two.of_type(M.TYPE_HEARTBEAT))

    await until(sent)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Of the link to member 2 alone: gRPC tells of an event loop of an earlier test, if it is late,
    and member 2 of its own link to whom is closed before it.
    """
    said = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    return [each for each in said if each.startswith("no link to member 2 ")]


def test_a_member_that_restarts_is_reported_and_found_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        async with stations() as (one, two):
            for _ in range(2):
                one.unreached.clear()
                await two.stop_serving()
                await until(lambda: one.unreached.count(2) > 3)
                await two.serve()
                await arrives(one, two)
                told = warnings(caplog)
                assert told
                assert len(told) == len(set(told))
                caplog.clear()
            assert set(one.unreached) == {2}

    run(scenario)


def test_who_calls_is_called_back_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "SLOW", (1000.0, 2000.0))

    async def scenario() -> None:
        async with stations(linked=False) as (one, two):
            one.nodes, two.nodes = {2: "node2"}, {}
            one.transport.set_members([two.member])
            await until(lambda: one.unreached == [2])
            two.nodes = {1: "node1"}
            two.transport.set_members([one.member])
            await arrives(one, two)

    run(scenario)


def test_who_joined_while_we_were_away_is_answered() -> None:
    async def scenario() -> None:
        async with stations(linked=False) as (one, two):
            one.nodes, two.nodes = {2: "node2"}, {1: "node1"}
            one.transport.set_members([two.member])  # two does not know of one yet
            await arrives(one, two)
            await arrives(two, one)
            two.transport.set_members([])  # one is not named yet, and keeps its link
            await arrives(two, one)
            two.removed.add(1)
            two.transport.set_members([])
            assert not two.transport.links

    run(scenario)


@pytest.mark.parametrize(
    ("refuse", "reason"),
    [
        (lambda one, two: setattr(two, "group_id", 5), "another group"),
        (lambda one, two: setattr(two, "raft_id", 5), "another member"),
        (lambda one, two: two.removed.add(1), "removed"),
        (lambda one, two: two.nodes.update({1: "node9"}), "not node node1"),
    ],
)
def test_who_is_refused_asks_slowly_and_logs_it_once(
    refuse: Callable[[Station, Station], None],
    reason: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry, "SLOW", (0.01, 0.02))

    async def scenario() -> None:
        async with stations(linked=False) as (one, two):
            one.service_greeted = False
            one.nodes, two.nodes = {2: "node2"}, {1: "node1"}
            there = two.member
            refuse(one, two)
            one.transport.set_members([there])
            await until(lambda: len(one.dialled) == 5)
            assert one.unreached == [2, 2, 2, 2]
            assert [reason in str(refusal) for refusal in one.refusals] == [True] * 4
            two.group_id, two.raft_id, two.removed = one.group_id, 2, set()
            two.nodes = {1: "node1"}
            await arrives(one, two)

    run(scenario)
    assert len([each for each in warnings(caplog) if reason in each]) == 1
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_a_member_that_is_removed_under_way_is_cut_off_and_learns_why(
    size: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "SLOW", (1000.0, 2000.0))

    async def scenario() -> None:
        async with stations() as (one, two):
            two.removed.add(1)
            for index in range(8):
                one.transport.send([one.append(two, index, size)])
            await until(lambda: one.unreached == [2])
            assert not two.received
            assert len(one.dialled) == 1
            assert [refusal.field for refusal in one.refusals] == [REMOVED]

    run(scenario)
    assert ["removed" in each for each in warnings(caplog)] == [True]


@pytest.mark.parametrize("wrong", ["other cluster's", "other node's", "expired"])
def test_a_wrong_certificate_reaches_nobody(wrong: str) -> None:
    async def scenario() -> None:
        async with stations(linked=False) as (one, two):
            two.nodes = {1: "node1"}
            there = two.member
            if wrong == "other cluster's":
                one.credentials = TrustedCluster().credentials("manager", "node1")
            elif wrong == "expired":
                now = one.cluster.now - 10 * 86400
                one.credentials = one.cluster.credentials("manager", "node1", now=now)
            else:
                there.node_id = "node3"
            one.transport.set_members([there])
            one.send(two, M.TYPE_VOTE, index=1)
            await until(lambda: one.unreached == [2, 2])
            assert not two.received

    run(scenario)


@pytest.mark.parametrize("old", ["open", "dead", "silent"])
def test_a_member_that_moves_is_reached_at_its_new_address(old: str) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            async with stations(linked=False) as (one, two):
                two.nodes, one.nodes = {1: "node1"}, {2: "node2"}
                places = {
                    "open": two.member.address,
                    "dead": "127.0.0.1:1",
                    "silent": f"127.0.0.1:{silent.getsockname()[1]}",
                }
                there = Member(raft_id=2, node_id="node2", address=places[old])
                one.transport.set_members([there])
                if old == "open":
                    await arrives(one, two)
                elif old == "dead":
                    await until(lambda: len(one.unreached) > 3)
                else:
                    await until(lambda: bool(one.dialled))
                await two.stop_serving()
                two.port = 0
                await two.serve()
                before = len(one.dialled)
                one.transport.set_members([two.member])
                await arrives(one, two)
                assert len(one.dialled) <= before + 2

    run(scenario)


def test_what_is_queued_still_reaches_a_member_that_is_let_go() -> None:
    async def scenario() -> None:
        async with stations() as (one, two):
            for index in range(200):
                one.transport.send([one.append(two, index, 20_000)])
            one.transport.set_members([one.member])
            one.send(two, M.TYPE_VOTE)
            await until(lambda: two.indexes() == list(range(200)))
            assert not two.indexes(M.TYPE_VOTE)
            assert not one.unreached

    run(scenario)


def test_new_credentials_are_used_for_one_link_after_another_and_nothing_is_lost() -> None:
    async def scenario() -> None:
        async with stations(4) as (one, *others):
            one.dialled.clear()
            one.credentials = one.cluster.credentials("manager", one.node_id)
            one.transport.reconnect()
            index = 0
            while len(one.dialled) < 3 or index < 500:
                index += 1
                one.transport.send([one.append(each, index) for each in others])
                await asyncio.sleep(0)
            for each in others:
                await until(lambda each=each: each.indexes() == list(range(1, index + 1)))  # type: ignore[misc]
            assert one.dialled == [one.credentials] * 3
            assert not one.unreached

    run(scenario)


def test_a_dead_member_does_not_keep_the_others_from_new_credentials() -> None:
    async def scenario() -> None:
        async with stations(3) as (one, two, three):
            await two.stop_serving()
            await until(lambda: one.unreached.count(2) > 1)
            one.dialled.clear()
            one.credentials = one.cluster.credentials("manager", one.node_id)
            for _ in range(3):  # again and again: the last counts
                one.transport.reconnect()
                await asyncio.sleep(0)
            before = len(three.received)
            await until(lambda: len(one.dialled) > 3)
            await arrives(one, three)
            assert before == 0
            assert set(one.unreached) == {2}

    run(scenario)


def test_a_defect_of_ours_does_not_end_a_peer(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with stations(linked=False) as (one, two):
            two.nodes = {1: "node1"}
            there = two.member
            one.credentials = TrustedCluster().credentials("manager", "node1")
            failing = iter([ValueError("planted"), SwarmError(Code.UNAVAILABLE, "not now")])
            dial = one.transport._connect

            def connect(member: Member) -> object:
                error = next(failing, None)
                if error is not None:
                    raise error
                one.credentials = one.cluster.credentials("manager", "node1")
                return dial(member)

            one.transport._connect = connect  # type: ignore[assignment]
            one.transport.bind(one)
            one.transport.set_members([there])
            await arrives(one, two)

    run(scenario)
    assert any("planted" in str(each.exc_info) for each in caplog.records)
