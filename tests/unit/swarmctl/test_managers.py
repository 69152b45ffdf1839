"""Several managers in one process, over real ports and certificates: seats, roles, the lead."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest

from api.errors import Code, SwarmError
from api.status import from_grpc
from api.v1 import objects_pb2
from swarmctl.life import ROLE_FIRST
from swarmctl.managership import Managership
from swarmctl.wished_role import wished_role
from tests.support.inner_host import LIMIT
from tests.support.inner_swarm import MANAGER, WORKER, swarm

pytestmark = pytest.mark.managers


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario()

    asyncio.run(main())


async def refused(call: Awaitable[object]) -> SwarmError:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return from_grpc(failed.value, "the call")


def test_any_manager_takes_changes_and_reads(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            await s["m2"].create("by-m2")
            await s["m3"].create("by-m3")
            for each in s.managers():
                assert await each.services() == {"by-m2", "by-m3"}

    run(scenario)


def test_the_lead_is_handed_over_and_nothing_is_missed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            await s["m1"].create("before")
            await s["m1"].stop()
            assert s.leader() is not None  # at once: no election timeout had to pass
            await s["m2"].create("after")
            assert await s["m3"].services() == {"before", "after"}
            await s["m1"].resume()
            assert await s["m1"].services() == {"before", "after"}

    run(scenario)


def test_a_worker_becomes_a_manager_and_a_worker_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=1, workers=1) as s:
            host = s["w1"]
            await s["m1"].set_role(host.node_id, MANAGER)
            await s.until(lambda: host.present.membership.manager)
            await s.full(2)
            assert host.memberships.log.exists()
            await host.create("by-the-new-one")

            await s["m1"].set_role(host.node_id, WORKER)
            await s.until(lambda: not host.present.membership.manager)
            await s.until(lambda: not host.memberships.log.exists())
            found = await s["m1"].node(host.node_id)
            assert (found.role, found.HasField("manager")) == (WORKER, False)
            await s["m1"].create("alone-again")

            await s["m1"].set_role(host.node_id, MANAGER)
            await s.until(lambda: host.present.membership.manager)
            await s.full(2)
            assert await host.services() == {"by-the-new-one", "alone-again"}

    run(scenario)


def test_a_manager_whose_disk_does_not_take_its_place_keeps_its_seat(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=1, workers=1) as s:
            host, seats = s["w1"], s["m1"].manager.node
            in_the_way = host.memberships.directory / ".membership.json.new"
            in_the_way.mkdir()
            await s["m1"].set_role(host.node_id, MANAGER)
            await s.until(lambda: s["m1"].voters() == 2)
            members = seats.members
            await asyncio.sleep(3 * ROLE_FIRST)  # it tries again
            assert host.memberships.log.exists()
            assert seats.members == members
            in_the_way.rmdir()
            await s.until(lambda: host.present.membership.manager)
            await s.full(2)
            await host.create("by-the-new-one")
            await host.stop()
            await host.resume()
            assert await host.services() == {"by-the-new-one"}

    run(scenario)


def test_a_manager_that_is_demoted_and_promoted_at_once_takes_another_seat(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            host = s["m3"]
            before = host.manager
            await s["m1"].set_role(host.node_id, WORKER)
            await s.until_manager_status(s["m1"], host.node_id, False)
            await s["m1"].set_role(host.node_id, MANAGER)
            await s.until_manager_status(s["m1"], host.node_id, True)
            await s.until(lambda: host.present.manager not in (None, before))
            assert host.manager.node.raft_id != before.node.raft_id
            await s.full(3)
            await host.create("by-the-new-seat")

    run(scenario)


def test_it_takes_another_seat_though_its_disk_was_full_in_between(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            host = s["m3"]
            before, in_the_way = host.manager, host.memberships.directory / ".membership.json.new"
            in_the_way.mkdir()
            await s["m1"].set_role(host.node_id, WORKER)
            await s.until_manager_status(s["m1"], host.node_id, False)
            await s["m1"].set_role(host.node_id, MANAGER)
            await s.until(lambda: host.present.manager is None)
            await s.until(lambda: not before.node.is_alive)
            await asyncio.sleep(3 * ROLE_FIRST)  # it tries again
            in_the_way.rmdir()
            await s.until(lambda: host.present.manager not in (None, before))
            await s.full(3)
            await host.create("by-the-new-seat")

    run(scenario)


def test_the_leader_itself_may_be_demoted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            await s["m2"].set_role(s["m1"].node_id, WORKER)
            await s.until(lambda: not s["m1"].present.membership.manager)
            await s["m2"].create("without-it")
            assert await s["m3"].services() == {"without-it"}

    run(scenario)


def test_who_is_needed_is_not_let_go(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=1) as s:
            refusal = await refused(s["m1"].set_role(s["m1"].node_id, WORKER))
            assert (refusal.code, "last manager" in refusal.what) == (Code.REFUSED, True)
            with pytest.raises(SwarmError, match="last manager") as stays:
                await s["m1"].present.leave(force=False)
            assert "--force" in stays.value.remedy

    run(scenario)


def test_a_manager_gives_up_its_seat_when_it_leaves(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            gone = s["m1"].node_id  # the leader
            await s["m1"].present.leave(force=False)
            await s["m1"].stop()
            await s["m2"].create("two-are-left")
            await s.until_manager_status(s["m2"], gone, False)
            assert (await s["m2"].node(gone)).spec.role == WORKER
            await s.until(s.leader)
            leader = s.leader()
            assert leader is not None
            assert len(leader.manager.node.members) == 2

    run(scenario)


def test_all_managers_start_again_together(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            await s["m1"].create("kept")
            await s.stop()
            await asyncio.gather(*(host.resume() for host in s.hosts.values()))
            assert await s["m2"].services() == {"kept"}
            await s["m3"].create("and-more")

    run(scenario)


def test_a_manager_that_lost_its_log_does_not_take_part(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            await s["m3"].stop()
            for file in s["m3"].memberships.log.iterdir():
                file.unlink()
            with pytest.raises(SwarmError, match=r"the log in .* is gone"):
                await s["m3"].resume()
            await s["m1"].create("two-suffice")

    run(scenario)


@pytest.mark.parametrize(
    ("spec", "seat", "manager", "removed", "wished"),
    [
        (MANAGER, True, True, False, None),
        (WORKER, False, False, False, None),
        (MANAGER, False, False, False, "manager"),
        (MANAGER, True, False, False, "manager"),
        (WORKER, True, True, False, None),
        (WORKER, False, True, False, "worker"),
        (MANAGER, False, True, False, None),
        (MANAGER, False, True, True, "worker"),
        (WORKER, False, True, True, "worker"),
        (WORKER, True, True, True, None),
    ],
)
def test_the_role_to_take_over(
    spec: int, seat: bool, manager: bool, removed: bool, wished: str | None
) -> None:
    node = objects_pb2.Node()
    node.spec.role = spec  # type: ignore[assignment]
    if seat:
        node.manager.address = "10.0.0.1:2377"
    assert wished_role(node, manager=manager, removed=removed) == wished
    assert wished_role(None, manager=manager) is None


def test_a_manager_that_is_killed_as_it_becomes_a_worker_keeps_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            host = s["m3"]
            await host.create("a-secret")
            with monkeypatch.context() as killed:
                killed.setattr(Managership, "forget", lambda _: None)
                await s["m1"].set_role(host.node_id, WORKER)
                await s.until(lambda: not host.present.membership.manager)
                await host.stop()
            assert host.memberships.keys.exists()
            await host.resume()
            assert not host.memberships.keys.exists()
            assert not host.memberships.log.exists()
            assert host.memberships.read() == host.present.membership

    run(scenario)


def test_a_host_that_stops_in_the_middle_of_a_demotion_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as hosts:
            host = hosts["m3"]
            manager, life = host.manager, host.present
            # Who waits for the answer may come when all is over.
            demoting = asyncio.create_task(hosts["m1"].set_role(host.node_id, WORKER))
            async with asyncio.timeout(LIMIT):
                while life.manager is not None:  # noqa: ASYNC110 - the very moment, not later
                    await asyncio.sleep(0)
            assert life.membership.manager  # it is stopping its manager
            await host.stop()
            await demoting
            assert not manager.node.is_alive
            with socket.socket() as port:  # nothing listens there any more
                # Connections that were closed a moment ago do not matter, a listener does.
                port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                port.bind(("127.0.0.1", int(host.address.rpartition(":")[2])))

    run(scenario)
