"""Who was removed is out at once: calls, open streams, certificates; and is told so."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from api.channel import node_channel
from api.enroll import enroll, reenroll
from api.errors import Code, SwarmError
from api.identity import Credentials, make_csr, new_key
from api.v1 import control_pb2, control_pb2_grpc, host_pb2, logs_pb2, logs_pb2_grpc
from tests.support.inner_host import LIMIT, Host
from tests.support.inner_swarm import swarm
from tests.support.rpc import ending, read

pytestmark = pytest.mark.managers


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario()

    asyncio.run(main())


async def remove(through: Host, key: str, *, force: bool = True) -> None:
    async with through.control() as control:
        request = control_pb2.RemoveRequest(key=key, force=force, request_id=f"rm {key}")
        await control.RemoveNode(request, timeout=LIMIT)


def watched(channel: grpc.aio.Channel) -> Any:
    return control_pb2_grpc.ControlStub(channel).Watch(control_pb2.WatchRequest())


@pytest.mark.parametrize("through", ["m1", "m2"])
def test_the_open_streams_of_a_removed_node_end_at_every_manager(
    tmp_path: Path, through: str
) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=2) as s:
            # Without an agent, whose own streams would take the place of these.
            node = await enroll([s["m1"].address], s.cluster.root_ca.worker_token)
            papers = node.credentials
            async with node_channel(s[through].address, papers) as channel:
                watch = watched(channel)
                logs = logs_pb2_grpc.LogBrokerStub(channel).Listen(logs_pb2.ListenRequest())
                await read(watch)
                await remove(s["m1"], node.node_id)
                for stream in (watch, logs):
                    assert (await ending(stream)).code is Code.UNAUTHENTICATED
            with pytest.raises(SwarmError) as refused:
                await reenroll([s["m1"].address], papers)
            assert refused.value.code is Code.UNAUTHENTICATED

    run(scenario)


def test_a_removed_node_tells_its_operator(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, workers=1) as s:
            host = s["w1"]
            await s.until(lambda: host.present.info().state == host_pb2.SwarmInfo.STATE_ACTIVE)
            await remove(s["m1"], host.node_id)
            await s.until(lambda: host.present.info().state == host_pb2.SwarmInfo.STATE_PENDING)
            told = host.present.info().error
            assert "removed" in told
            assert "swarm leave --force" in told
            assert "removed" in host.present.complaint()

    run(scenario)


def test_an_operators_watch_ends_with_him_at_the_manager_that_passes_it_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=2) as s:
            key = new_key()
            request = control_pb2.CreateOperatorRequest(
                name="alice", csr_pem=make_csr(key), request_id="alice"
            )
            async with s["m1"].control() as control:
                made = await control.CreateOperator(request, timeout=LIMIT)
            papers = Credentials(key, made.certificate_pem, made.ca_pem)
            async with node_channel(s["m2"].address, papers) as channel:
                watch = watched(channel)
                await read(watch)
                async with s["m1"].control() as control:
                    gone = control_pb2.RemoveRequest(key="alice", request_id="rm alice")
                    await control.RemoveOperator(gone, timeout=LIMIT)
                assert (await ending(watch)).code is Code.UNAUTHENTICATED

    run(scenario)
