"""What is done to managers in trouble, with real ones: a lost quorum, a backup, a move."""

import asyncio
import secrets
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import grpc
import pytest

from api import backup_file
from api.channel import node_channel
from api.errors import Code, SwarmError
from api.status import from_grpc
from api.v1 import control_pb2, host_pb2, objects_pb2, raft_pb2, raft_pb2_grpc, types_pb2
from manager.group import quorum
from manager.raft.durable.key_file import LockedError
from swarmctl.founding import restore_swarm
from swarmctl.locked import LockedLife
from swarmctl.recovery import manager_of
from swarmctl.switch import Switch
from tests.support.inner_host import LIMIT, Host
from tests.support.inner_swarm import MANAGER, WORKER, swarm
from tests.support.ports import free_pair

pytestmark = pytest.mark.managers

FORCE = host_pb2.InitSwarmRequest(force_new_cluster=True)
KEY = bytes(range(32))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a quorum is lost it need not be waited for."""
    monkeypatch.setattr(quorum, "PATIENCE", 1.0)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


async def force(host: Host) -> host_pb2.InitSwarmResponse:
    return await host.recovery.force(host.life, FORCE)


async def backup_of(host: Host) -> bytes:
    async with host.control() as control:
        chunks = control.Backup(control_pb2.BackupRequest(key=KEY))
        return b"".join([chunk.data async for chunk in chunks])


async def restore(host: Host, sealed: bytes) -> None:
    await host.enter(*restore_swarm(sealed, KEY, address=host.address, listen=host.address))


def test_the_last_of_three_managers_goes_on_and_the_others_come_back_as_workers(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            one, two, three = s.hosts.values()
            await one.create("web")
            former = three.manager.node
            await s.until(lambda: three.stored_services() == {"web"})
            ids = {one.node_id, two.node_id}
            await one.stop()
            await two.stop()
            answer = await force(three)
            assert (answer.node_id, answer.address) == (three.node_id, three.address)
            assert answer.worker_token.startswith("SWMTKN-1-")
            node = three.manager.node
            assert (node.group_id, node.raft_id) != (former.group_id, former.raft_id)
            assert list(node.members) == [node.raft_id]
            assert three.stored_services() == {"web"}
            assert {three.stored_node(each).spec.role for each in ids} == {WORKER}
            assert not any(three.stored_node(each).HasField("manager") for each in ids)
            await three.create("more")

            await two.resume()
            await s.until(lambda: not two.present.membership.manager)
            await three.set_role(two.node_id, MANAGER)
            await s.until(lambda: two.present.membership.manager)
            await s.full(2)
            await s.until(lambda: two.stored_services() == {"more", "web"})

    run(scenario())


def test_the_old_managers_are_told_why_they_are_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=2) as s:
            one, two = s.hosts.values()
            former, credentials = one.manager.node, one.present.safe.credentials
            target = two.manager.node.raft_id
            await one.stop()
            await force(two)
            greeting = raft_pb2.RaftGreeting(group_id=former.group_id, to=target)
            setattr(greeting, "from", former.raft_id)
            async with node_channel(two.address, credentials) as channel:
                stream = raft_pb2_grpc.RaftStub(channel).Exchange(
                    iter([raft_pb2.RaftBatch(greeting=greeting)]), timeout=30
                )
                with pytest.raises(grpc.aio.AioRpcError) as lost:
                    await stream
            refusal = from_grpc(lost.value, "x")
            assert refusal.code is Code.REFUSED
            assert "another group" in refusal.what
            assert "a new group was forced" in refusal.remedy

    run(scenario())


def test_what_a_forced_new_cluster_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum, "PATIENCE", LIMIT)

    async def scenario() -> None:
        async with swarm(tmp_path, managers=2, workers=1) as s:
            one = s["m1"]
            with pytest.raises(SwarmError, match="need no new group") as refused:
                await force(one)
            assert refused.value.code is Code.REFUSED
            with pytest.raises(SwarmError, match="not a manager"):
                await force(s["w1"])
            with pytest.raises(SwarmError, match="goes on with what this manager has") as wrong:
                await one.recovery.force(
                    one.life,
                    host_pb2.InitSwarmRequest(force_new_cluster=True, advertise_address="x:1"),
                )
            assert wrong.value.code is Code.INVALID
            await s.until(lambda: one.manager.node.leader is not None)

    run(scenario())


def test_nothing_is_done_to_a_host_that_is_no_manager() -> None:
    with pytest.raises(SwarmError, match="in no swarm"):
        manager_of(None)


def test_it_works_after_a_restart_without_a_quorum_and_with_an_expired_certificate(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=2) as s:
            one, two = s.hosts.values()
            await one.create("web")
            await s.until(lambda: two.stored_services() == {"web"})
            await one.stop()
            await two.stop()
            s.expire(two)
            await two.resume()
            await force(two)
            assert two.stored_services() == {"web"}
            await two.create("more")

    run(scenario())


def test_a_log_that_cannot_be_made_anew_leaves_the_manager_as_it_was(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=2) as s:
            one, two = s.hosts.values()
            await one.create("web")
            await s.until(lambda: two.stored_services() == {"web"})
            group = two.manager.node.group_id
            await one.stop()
            in_the_way = two.memberships.log.with_name(".manager.json.new")
            in_the_way.mkdir()
            with pytest.raises(SwarmError, match="cannot be written down"):
                await force(two)
            assert two.manager.node.group_id == group
            await s.until(lambda: two.stored_services() == {"web"})
            in_the_way.rmdir()
            await force(two)
            assert two.manager.node.group_id != group
            assert two.stored_services() == {"web"}

    run(scenario())


def test_a_backup_of_a_follower_is_restored_on_another_host(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            one, two, three = s.hosts.values()
            await one.create("web")
            sealed = await backup_of(three)
            former = [one.node_id, two.node_id, three.node_id]
            await s.stop()
            fresh = s.add("fresh")
            await restore(fresh, sealed)
            assert fresh.stored_services() == {"web"}
            assert fresh.manager.node.is_leader
            down = types_pb2.NODE_STATE_DOWN
            for each in former:
                node = fresh.stored_node(each)
                assert (node.spec.role, node.status.state) == (WORKER, down)
            await fresh.create("more")
            active = host_pb2.SwarmInfo.STATE_ACTIVE  # its own agent has reached it
            await s.until(lambda: fresh.present.info().state == active)
            await fresh.stop()
            await fresh.resume()
            await s.until(lambda: fresh.stored_services() == {"more", "web"})

    run(scenario())


def test_a_locked_swarm_is_restored_locked_under_the_same_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, autolock=True) as s:
            sealed = await backup_of(s["m1"])
            await s.stop()
            fresh = s.add("fresh")
            await restore(fresh, sealed)
            await fresh.stop()
            with pytest.raises(LockedError):
                await fresh.resume()
            membership = fresh.memberships.read()
            assert membership is not None
            with pytest.raises(LockedError):
                manager_of(LockedLife(membership, Switch()))
            await fresh.resume(s.cluster.unlock_key)
            await s.until(lambda: fresh.manager.node.is_leader)

    run(scenario())


def test_a_backup_needs_a_quorum_unless_it_may_be_old(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=2) as s:
            one, two = s.hosts.values()
            await one.create("web")
            await s.until(lambda: two.stored_services() == {"web"})
            await one.stop()
            async with two.control() as control:
                request = control_pb2.BackupRequest(key=KEY)
                with pytest.raises(grpc.aio.AioRpcError) as lost:
                    async for _ in control.Backup(request, timeout=3):
                        pass
                assert from_grpc(lost.value, "x").code in (Code.UNAVAILABLE, Code.DEADLINE)
                stale = control.Backup(request, metadata=(("swarm-stale", "1"),))
                sealed = b"".join([chunk.data async for chunk in stale])
            place = restore_swarm(sealed, KEY, address="a:1", listen="a:1")
            assert place.start.store.count(objects_pb2.Service) == 1

    run(scenario())


def test_another_key_does_not_restore() -> None:
    header = control_pb2.BackupHeader(salt=secrets.token_bytes(backup_file.SALT_BYTES))
    sealed = b"".join(backup_file.seal(header, KEY, b""))
    with pytest.raises(SwarmError) as refused:
        restore_swarm(sealed, bytes(32), address="a:1", listen="a:1")
    assert refused.value.code is Code.DENIED


async def readdress(host: Host, address: str) -> str:
    request = host_pb2.ReaddressSwarmRequest(advertise_address=address, listen_address=address)
    return (await host.recovery.readdress(host.life, request)).address


def test_a_manager_that_moves_tells_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            one, two, three = s.hosts.values()
            address = f"127.0.0.1:{free_pair()}"
            seat = two.manager.node.raft_id
            assert await readdress(two, address) == address
            assert two.manager.node.raft_id == seat

            def known(host: Host) -> bool:
                return host.manager.node.members[seat].address == address

            await s.until(lambda: all(map(known, (one, two, three))))
            await s.until(lambda: one.stored_node(two.node_id).manager.address == address)
            await three.create("web")
            await s.until(lambda: two.stored_services() == {"web"})

    run(scenario())


def test_a_manager_that_is_alone_moves_and_its_worker_follows(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path) as s:
            one = s["m1"]
            address = f"127.0.0.1:{free_pair()}"
            await readdress(one, address)
            await s.until(lambda: one.stored_node(one.node_id).manager.address == address)
            await one.stop()
            await one.resume()
            assert one.present.membership.advertise_address == address
            assert address in one.present.membership.managers

    run(scenario())


def test_who_calls_meanwhile_is_asked_to_come_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path) as s:
            one, told = s["m1"], set()
            moving = asyncio.create_task(readdress(one, f"127.0.0.1:{free_pair()}"))
            while not moving.done():
                if not one.switch._local:
                    with pytest.raises(SwarmError) as refused:
                        one.switch._target()
                    told.add((refused.value.code, refused.value.what))
                await asyncio.sleep(0)
            await moving
            (answer,) = told
            assert answer[0] is Code.UNAVAILABLE
            assert "changing just now" in answer[1]
            assert one.switch._local

    run(scenario())


def test_a_place_where_it_cannot_listen_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=2) as s:
            one, two = s.hosts.values()
            with pytest.raises(SwarmError, match="cannot listen"):
                await readdress(two, one.address)
            assert two.present.membership.advertise_address == two.address
            assert two.memberships.read() == two.present.membership
            await one.create("web")
            await s.until(lambda: two.stored_services() == {"web"})

    run(scenario())


def test_without_a_quorum_it_moves_and_tells_later(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            one, two, three = s.hosts.values()
            await one.stop()
            await three.stop()
            address = f"127.0.0.1:{free_pair()}"
            await readdress(two, address)
            await one.resume()
            await three.resume()
            seat = two.manager.node.raft_id
            await s.until(lambda: one.manager.node.members[seat].address == address)

    run(scenario())
