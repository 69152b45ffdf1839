"""The root certificate is replaced under way: several hosts in one process, real ports and TLS."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from api.certificates import certificates_in, digest_of
from api.channel import node_channel
from api.enroll import reenroll
from api.errors import Code, SwarmError
from api.identity import FILE_NAME, Credentials, Role, make_csr, new_key
from api.v1 import control_pb2, control_pb2_grpc, objects_pb2, types_pb2
from hostkit.clock import wall
from manager.ca.authority import sign
from swarmctl.cli.connect import first_that_answers
from swarmctl.cli.contexts import Context
from swarmctl.cli.files import write_private
from tests.support.inner_host import LIMIT, Host
from tests.support.inner_swarm import Swarm, swarm

pytestmark = pytest.mark.managers

BEAT = 0.5
"""Seconds between heartbeats: a node that was stopped is soon found to be down."""
SLOW_BEAT = 2.0
"""The same, where no node may be found down that is up: not on a busy machine either."""
CONNECT = 6.0
"""Seconds for a secure connection; so long it takes to see that none comes about."""
READY = types_pb2.NODE_STATE_READY
ROLES: dict[Role, str] = {"worker": "w1", "manager": "m1"}
"""A host of each role."""


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario()

    asyncio.run(main())


async def rotate(host: Host, request_id: str = "r") -> objects_pb2.Cluster:
    async with host.control() as control:
        request = control_pb2.RotateRootCaRequest(request_id=request_id)
        return await control.RotateRootCa(request, timeout=LIMIT)


def root_of(host: Host) -> objects_pb2.RootCa:
    (cluster,) = host.manager.store.all(objects_pb2.Cluster)
    return cluster.root_ca


def is_rotated(host: Host, former: objects_pb2.RootCa) -> bool:
    root = root_of(host)
    return not root.HasField("rotation") and root.certificate_pem != former.certificate_pem


def trusts(host: Host) -> set[bytes]:
    found = host.present.safe.credentials
    return {digest_of(each) for each in certificates_in(found.ca_pem)}


def digest(pem: bytes) -> bytes:
    (only,) = certificates_in(pem)
    return digest_of(only)


async def ready(s: Swarm, host: Host) -> None:
    """Until the node has come: for one that never has, no rotation waits."""
    node_id = host.node_id
    await s.until(lambda: s["m1"].stored_node(node_id).status.state == READY)


@asynccontextmanager
async def held_up_by(s: Swarm, host: Host) -> AsyncIterator[None]:
    """No rotation comes to its end meanwhile: the host is up, and can write no certificate."""
    await ready(s, host)
    in_the_way = host.memberships.directory / f".{FILE_NAME}.new"
    in_the_way.mkdir()
    yield
    in_the_way.rmdir()


async def moved(s: Swarm, through: Host, former: objects_pb2.RootCa, *hosts: str) -> None:
    """Until the rotation has come to its end, and these hosts trust the new root alone."""
    await s.until(lambda: is_rotated(through, former))
    wanted = {digest(root_of(through).certificate_pem)}
    await s.until(lambda: all(trusts(s[name]) == wanted for name in hosts))


def test_every_node_gets_a_certificate_of_the_new_root_and_the_old_one_is_dropped(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3, workers=1, heartbeat=BEAT) as s:
            before = root_of(s["m1"])
            await rotate(s["m2"])
            await moved(s, s["m1"], before, "m1", "m2", "m3", "w1")
            after = root_of(s["m1"])
            assert {before.worker_token, before.manager_token}.isdisjoint(
                {after.worker_token, after.manager_token}
            )
            await s["m3"].create("afterwards")
            s.cluster.root_ca.CopyFrom(after)
            await s.join("w2", manager=False)
            await s.join("m4", manager=True)
            await s.full(4)

    run(scenario)


@pytest.mark.parametrize("away", ["w1", "m3"])
def test_a_node_that_was_down_meanwhile_exchanges_its_certificate_when_it_is_back(
    tmp_path: Path, away: str
) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3, workers=1, heartbeat=BEAT) as s:
            before, host = root_of(s["m1"]), s[away]
            node_id, key = host.node_id, host.present.safe.credentials.key_pem
            await host.stop()
            for number in ("1", "2"):  # and the chain leads back over both
                present = root_of(s["m1"])
                await rotate(s["m1"], number)
                up = [name for name in ("m1", "m2", "m3", "w1") if name != away]
                await moved(s, s["m1"], present, *up)
            await host.resume()
            await moved(s, s["m1"], before, away)
            assert host.node_id == node_id
            assert host.present.safe.credentials.key_pem != key
            await s.until(lambda: s["m1"].stored_node(node_id).status.state == READY)
            if away.startswith("m"):
                await host.create("by-the-one-that-is-back")

    run(scenario)


@pytest.mark.parametrize("away", ["w1", "m3"])
def test_a_node_comes_back_after_90_days_and_a_rotation(tmp_path: Path, away: str) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3, workers=1, heartbeat=BEAT) as s:
            before, host = root_of(s["m1"]), s[away]
            await host.stop()
            s.expire(host)
            await rotate(s["m1"])
            up = [name for name in ("m1", "m2", "m3", "w1") if name != away]
            await moved(s, s["m1"], before, *up)
            await host.resume()
            await moved(s, s["m1"], before, away)
            assert host.valid_until() > wall()
            node_id = host.node_id
            await s.until(lambda: s["m1"].stored_node(node_id).status.state == READY)

    run(scenario)


def test_a_rotation_goes_on_under_the_next_leader(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3, workers=1, heartbeat=BEAT) as s:
            before = root_of(s["m2"])
            await ready(s, s["w1"])
            await s["w1"].stop()  # holds the rotation up until it is found to be down
            await rotate(s["m1"])
            await s["m1"].stop()
            await moved(s, s["m2"], before, "m2", "m3")
            await s["m1"].resume()
            await s["w1"].resume()
            await moved(s, s["m2"], before, "m1", "w1")

    run(scenario)


def test_a_rotation_is_broken_off_by_the_next_and_nobody_is_lost(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=2, workers=2, heartbeat=SLOW_BEAT) as s:
            before = root_of(s["m1"])
            async with held_up_by(s, s["w1"]):
                await rotate(s["m1"], "first")
                first = root_of(s["m1"]).rotation.certificate_pem
                await s.until(lambda: digest(first) in trusts(s["w2"]))
                await s["w2"].stop()  # with a certificate of a root that never takes its place
                await rotate(s["m1"], "second")
                second = root_of(s["m1"]).rotation
                assert list(second.broken_off) == [first]
                await s["w1"].stop()
            await moved(s, s["m1"], before, "m1", "m2")
            assert root_of(s["m1"]).certificate_pem == second.certificate_pem
            for name in ("w1", "w2"):
                await s[name].resume()
            await moved(s, s["m1"], before, "w1", "w2")

    run(scenario)


def test_who_stole_the_key_of_a_former_root_gets_nothing_for_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, workers=1, heartbeat=BEAT) as s:
            before = root_of(s["m1"])
            await rotate(s["m1"])
            await moved(s, s["m1"], before, "m1", "w1")
            for role, victim in ROLES.items():
                forged = forge(before, s, role, s[victim].node_id)
                with pytest.raises(SwarmError) as refused:
                    await reenroll([s["m1"].address], forged)
                assert refused.value.code is Code.UNAUTHENTICATED
                async with node_channel(s["m1"].address, forged) as channel:
                    with pytest.raises(grpc.aio.AioRpcError) as unheard:
                        await control_pb2_grpc.ControlStub(channel).GetCluster(
                            control_pb2.GetClusterRequest(), timeout=LIMIT
                        )
                assert unheard.value.code() is grpc.StatusCode.UNAVAILABLE

    run(scenario)


def test_a_token_of_before_the_rotation_is_told_why_it_is_void(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path) as s:
            before = root_of(s["m1"])
            await s.join("w1", manager=False)
            await rotate(s["m1"])
            await moved(s, s["m1"], before, "m1", "w1")
            with pytest.raises(SwarmError, match="was rotated since the token was made"):
                await s.join("w2", manager=False)

    run(scenario)


def test_a_joiner_gets_in_by_the_old_token_while_the_rotation_is_under_way(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, workers=1) as s:
            before = root_of(s["m1"])
            async with held_up_by(s, s["w1"]):
                await rotate(s["m1"])
                await s.join("w2", manager=False)
                assert root_of(s["m1"]).HasField("rotation")
            await moved(s, s["m1"], before, "m1", "w1", "w2")

    run(scenario)


def test_an_operator_who_was_away_exchanges_his_certificate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path) as s:
            before, folder = root_of(s["m1"]), tmp_path / "alice"
            key = new_key()
            request = control_pb2.CreateOperatorRequest(
                name="alice", csr_pem=make_csr(key), request_id="alice"
            )
            async with s["m1"].control() as control:
                made = await control.CreateOperator(request, timeout=LIMIT)
            write_private(
                folder, {"ca.pem": made.ca_pem, "cert.pem": made.certificate_pem, "key.pem": key}
            )
            await rotate(s["m1"])
            await moved(s, s["m1"], before, "m1")
            target = Context("a", (f"tcp://{s['m1'].address}",), str(folder))
            for said in ("was exchanged", ""):
                await asyncio.to_thread(list_nodes, target)
                assert said in capsys.readouterr().err
            assert (folder / "key.pem").read_bytes() == key
            assert digest((folder / "ca.pem").read_bytes()) == digest(
                root_of(s["m1"]).certificate_pem
            )

    run(scenario)


def list_nodes(target: Context) -> None:
    with first_that_answers(target, CONNECT) as channel:
        stub = control_pb2_grpc.ControlStub(channel)
        (found,) = stub.ListNodes(control_pb2.ListNodesRequest(), timeout=LIMIT)
        assert len(found.nodes) == 1


def forge(root: objects_pb2.RootCa, s: Swarm, role: Role, node_id: str) -> Credentials:
    key = new_key()
    certificate = sign(
        root,
        make_csr(key),
        node_id=node_id,
        role=role,
        cluster_id=s.cluster.id,
        now=wall(),
        expiry=3600,
    )
    # What the thief believes is his own affair: whoever answers.
    return Credentials(key, certificate, root.certificate_pem)
