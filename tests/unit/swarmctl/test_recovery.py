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
from api.identity import Credentials, make_csr, new_key
from api.status import from_grpc
from api.v1 import control_pb2, host_pb2, objects_pb2, raft_pb2, raft_pb2_grpc, types_pb2
from hostkit.clock import wall
from manager.ca.authority import sign
from manager.group import quorum
from manager.raft.durable.key_file import LockedError
from swarmctl import safe
from swarmctl.founding import restore_swarm
from swarmctl.locked import LockedLife
from swarmctl.recovery import manager_of
from swarmctl.switch import Switch
from tests.support.lives import LivingHost, managers, until
from tests.support.ports import free_pair

pytestmark = pytest.mark.managers

FORCE = host_pb2.InitSwarmRequest(force_new_cluster=True)
KEY = bytes(range(32))
WORKER, MANAGER = types_pb2.NODE_ROLE_WORKER, types_pb2.NODE_ROLE_MANAGER
DAY = 86400.0


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quorum that is there shows itself at once on an idle loop."""
    monkeypatch.setattr(quorum, "PATIENCE", 1.0)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


async def force(host: LivingHost) -> host_pb2.InitSwarmResponse:
    return await host.recovery.force(host.present, FORCE)


async def backup_of(host: LivingHost) -> bytes:
    async with host.control() as control:
        chunks = control.Backup(control_pb2.BackupRequest(key=KEY))
        return b"".join([chunk.data async for chunk in chunks])


def test_the_last_of_three_managers_goes_on_and_the_others_come_back_as_workers(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with managers(tmp_path, 3) as (one, two, three):
            await one.create("web")
            former = three.manager.node
            await until(lambda: three.services() == ["web"], "the third has it")
            ids = {one.node_id, two.node_id}
            await one.stop()
            await two.stop()
            answer = await force(three)
            assert (answer.node_id, answer.address) == (three.node_id, three.address)
            assert answer.worker_token.startswith("SWMTKN-1-")
            node = three.manager.node
            assert (node.group_id, node.raft_id) != (former.group_id, former.raft_id)
            assert list(node.members) == [node.raft_id]
            assert three.services() == ["web"]
            assert {three.node(each).spec.role for each in ids} == {WORKER}
            assert not any(three.node(each).HasField("manager") for each in ids)
            await three.create("more")

            await two.start()
            await until(lambda: not two.life.membership.manager, "the second is a worker")
            await three.make_manager(two.node_id)
            await until(lambda: three.voters() == 2, "it votes again")
            await until(lambda: two.services() == ["more", "web"], "it has the state")
            assert two.failures == three.failures == []

    run(scenario())


def test_the_old_managers_are_told_why_they_are_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with managers(tmp_path, 2) as (one, two):
            former, credentials = one.manager.node, one.life.safe.credentials
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


def test_what_a_forced_new_cluster_refuses(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with managers(tmp_path, 2) as (one, two):
            with pytest.raises(SwarmError, match="need no new group") as refused:
                await force(one)
            assert refused.value.code is Code.REFUSED
            worker = LivingHost(tmp_path / "w")
            cluster = next(one.manager.store.all(objects_pb2.Cluster))
            await worker.join(cluster.root_ca.worker_token, two.address)
            try:
                with pytest.raises(SwarmError, match="not a manager"):
                    await force(worker)
            finally:
                await worker.stop()
            with pytest.raises(SwarmError, match="goes on with what this manager has") as wrong:
                await one.recovery.force(
                    one.present,
                    host_pb2.InitSwarmRequest(force_new_cluster=True, advertise_address="x:1"),
                )
            assert wrong.value.code is Code.INVALID
            assert one.manager.node.leader is not None

    run(scenario())


def test_nothing_is_done_to_a_host_that_is_no_manager() -> None:
    with pytest.raises(SwarmError, match="in no swarm"):
        manager_of(None)


def test_it_works_after_a_restart_without_a_quorum_and_with_an_expired_certificate(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with managers(tmp_path, 2) as (one, two):
            await one.create("web")
            await until(lambda: two.services() == ["web"], "the second has it")
            cluster = next(two.manager.store.all(objects_pb2.Cluster))
            present = two.life.safe.credentials
            await one.stop()
            await two.stop()
            expire(two, cluster)
            assert two.life.safe.credentials.identity.not_after < present.identity.not_after
            await two.start()
            await force(two)
            assert two.services() == ["web"]
            await two.create("more")
            assert two.failures == []

    run(scenario())


def expire(host: LivingHost, cluster: objects_pb2.Cluster) -> None:
    """Its certificate ended yesterday."""
    key = new_key()
    certificate = sign(
        cluster.root_ca,
        make_csr(key),
        node_id=host.node_id,
        role="manager",
        cluster_id=cluster.id,
        now=wall() - 2 * DAY,
        expiry=DAY,
    )
    host.life.safe.save(Credentials(key, certificate, cluster.root_ca.certificate_pem))


def test_a_log_that_cannot_be_made_anew_leaves_the_manager_as_it_was(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with managers(tmp_path, 2) as (one, two):
            await one.create("web")
            await until(lambda: two.services() == ["web"], "the second has it")
            group = two.manager.node.group_id
            await one.stop()
            in_the_way = two.memberships.log.with_name("manager.json.new")
            in_the_way.mkdir()
            with pytest.raises(SwarmError, match="cannot be written down"):
                await force(two)
            assert two.manager.node.group_id == group
            assert two.services() == ["web"]
            in_the_way.rmdir()
            await force(two)
            assert two.manager.node.group_id != group
            assert two.services() == ["web"]
            assert two.failures == []

    run(scenario())


def test_a_backup_of_a_follower_is_restored_on_another_host(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with managers(tmp_path, 3) as (one, two, three):
            await one.create("web")
            sealed = await backup_of(three)
            former = [one.node_id, two.node_id, three.node_id]
        fresh = LivingHost(tmp_path / "fresh")
        address = fresh.address
        place = restore_swarm(sealed, KEY, address=address, listen=address)
        await fresh.enter(*place)
        try:
            assert fresh.services() == ["web"]
            assert fresh.manager.node.is_leader
            down = types_pb2.NODE_STATE_DOWN
            for each in former:
                node = fresh.node(each)
                assert (node.spec.role, node.status.state) == (WORKER, down)
            await fresh.create("more")
            await until(
                lambda: fresh.life.info().state == host_pb2.SwarmInfo.STATE_ACTIVE,
                "its own agent has reached it",
            )
            await fresh.stop()
            await fresh.start()
            await until(lambda: fresh.services() == ["more", "web"], "both are there again")
            assert fresh.failures == []
        finally:
            await fresh.stop()

    run(scenario())


def test_a_locked_swarm_is_restored_locked_under_the_same_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        one, fresh = LivingHost(tmp_path / "one"), LivingHost(tmp_path / "fresh")
        try:
            first = await one.found(autolock=True)
            key = bytes(first.cluster.unlock_key)
            sealed = await backup_of(one)
            await one.stop()
            place = restore_swarm(sealed, KEY, address=fresh.address, listen=fresh.address)
            await fresh.enter(*place)
            await fresh.stop()
            membership = fresh.memberships.read()
            assert membership is not None
            with pytest.raises(LockedError):
                safe.found(fresh.memberships, membership)
            locked = LockedLife(membership, Switch())
            with pytest.raises(LockedError):
                manager_of(locked)
            await fresh.start(key)
            await until(lambda: fresh.manager.node.is_leader, "it leads again")
        finally:
            await one.stop()
            await fresh.stop()

    run(scenario())


def test_a_backup_needs_a_quorum_unless_it_may_be_old(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with managers(tmp_path, 2) as (one, two):
            await one.create("web")
            await until(lambda: two.services() == ["web"], "the second has it")
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


async def readdress(host: LivingHost, address: str) -> str:
    request = host_pb2.ReaddressSwarmRequest(advertise_address=address, listen_address=address)
    return (await host.recovery.readdress(host.present, request)).address


def test_a_manager_that_moves_tells_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with managers(tmp_path, 3) as (one, two, three):
            address = f"127.0.0.1:{free_pair()}"
            seat = two.manager.node.raft_id
            assert await readdress(two, address) == address
            assert two.manager.node.raft_id == seat

            def known(host: LivingHost) -> bool:
                return host.manager.node.members[seat].address == address

            await until(lambda: all(map(known, (one, two, three))), "all know its address")
            await until(lambda: one.node(two.node_id).manager.address == address, "so do its nodes")
            await three.create("web")
            await until(lambda: two.services() == ["web"], "it is reached there")
            assert two.failures == []

    run(scenario())


def test_a_manager_that_is_alone_moves_and_its_worker_follows(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with managers(tmp_path, 1) as (one,):
            address = f"127.0.0.1:{free_pair()}"
            await readdress(one, address)
            await until(
                lambda: one.node(one.node_id).manager.address == address, "its node says so"
            )
            await one.stop()
            await one.start()
            assert one.life.membership.advertise_address == address
            assert address in one.life.membership.managers

    run(scenario())


def test_a_place_where_it_cannot_listen_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with managers(tmp_path, 2) as (one, two):
            with pytest.raises(SwarmError, match="cannot listen"):
                await readdress(two, one.address)
            assert two.life.membership.advertise_address == two.address
            assert two.memberships.read() == two.life.membership
            await one.create("web")
            await until(lambda: two.services() == ["web"], "it goes on as before")
            assert two.failures == []

    run(scenario())


def test_without_a_quorum_it_moves_and_tells_later(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with managers(tmp_path, 3) as (one, two, three):
            await one.stop()
            await three.stop()
            address = f"127.0.0.1:{free_pair()}"
            await readdress(two, address)
            await one.start()
            await three.start()
            seat = two.manager.node.raft_id
            await until(lambda: one.manager.node.members[seat].address == address, "they are told")

    run(scenario())
