import asyncio
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest

from api.channel import (
    CA_MESSAGE_LIMIT,
    ca_channel,
    ca_server_credentials,
    node_channel,
    node_server_credentials,
    unix_channel,
)
from api.errors import Code, SwarmError
from api.identity import Credentials
from api.v1 import ca_pb2, ca_pb2_grpc, health_pb2, health_pb2_grpc
from tests.support.trust import DAY, TrustedCluster, add_ca, serving

ADD = health_pb2_grpc.add_HealthServicer_to_server


class Well(health_pb2_grpc.HealthServicer):
    """Answers who the server says it is talking to."""

    async def Check(self, request: Any, context: Any) -> health_pb2.HealthCheckResponse:
        return health_pb2.HealthCheckResponse(message=context.peer())


async def check(channel: grpc.aio.Channel) -> str:
    async with channel:
        request = health_pb2.HealthCheckRequest()
        return (await health_pb2_grpc.HealthStub(channel).Check(request, timeout=10)).message


async def refused(channel: grpc.aio.Channel) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(channel)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    return caught.value.details() or ""


def test_members_reach_a_manager_by_its_names_and_nobody_else_does() -> None:
    cluster, stranger = TrustedCluster(), TrustedCluster()
    worker = cluster.credentials("worker", "w1")
    foreign = stranger.credentials("worker", "w1")
    expired = cluster.credentials("worker", "w1", now=cluster.now - 9 * DAY, expiry=DAY)
    future = cluster.credentials("worker", "w1", now=cluster.now + 9 * DAY, expiry=DAY)
    forged = Credentials(foreign.key_pem, foreign.certificate_pem, cluster.root.certificate_pem)

    async def run() -> None:
        async with serving(ADD, Well(), node_server_credentials(cluster.manager)) as port:
            at = f"127.0.0.1:{port}"
            assert await check(node_channel(at, worker))
            assert await check(node_channel(at, worker, server_name=cluster.manager_id))
            assert "ostname" in await refused(node_channel(at, worker, server_name="m2"))
            assert await refused(ca_channel(at, cluster.root.certificate_pem))
            assert await refused(node_channel(at, forged))
            assert await refused(node_channel(at, foreign))
            assert await refused(node_channel(at, expired))
            assert await refused(node_channel(at, future))
            assert await refused(grpc.aio.insecure_channel(at))

    asyncio.run(run())


def test_a_worker_cannot_pass_for_a_manager() -> None:
    cluster = TrustedCluster()
    worker = cluster.credentials("worker", "w1")

    async def run() -> None:
        async with serving(ADD, Well(), node_server_credentials(worker)) as port:
            at = f"127.0.0.1:{port}"
            assert await refused(node_channel(at, worker))
            # Not even under its own name: its certificate is not for servers.
            assert await refused(node_channel(at, worker, server_name="w1"))

    asyncio.run(run())


def test_a_renewed_certificate_is_shown_without_a_restart() -> None:
    cluster = TrustedCluster()
    current = [cluster.credentials("manager", "m1")]
    worker = cluster.credentials("worker", "w1")

    async def run() -> None:
        async with serving(ADD, Well(), node_server_credentials(lambda: current[0])) as port:
            at = f"127.0.0.1:{port}"
            assert await check(node_channel(at, worker, server_name="m1"))
            current[0] = cluster.credentials("manager", "m2")
            assert await check(node_channel(at, worker, server_name="m2"))
            assert await refused(node_channel(at, worker, server_name="m1"))

    asyncio.run(run())


def test_grpc_is_handed_a_certificate_only_when_it_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A configuration that replaces the same one at each handshake crashes gRPC's core."""
    fetchers: list[Any] = []
    real = grpc.dynamic_ssl_server_credentials

    def noted(first: Any, fetch: Any, **options: Any) -> grpc.ServerCredentials:
        fetchers.append(fetch)
        return real(first, fetch, **options)

    monkeypatch.setattr(grpc, "dynamic_ssl_server_credentials", noted)
    cluster = TrustedCluster()
    shown = [cluster.credentials("manager", "m")]
    node_server_credentials(lambda: shown[-1])
    (fetch,) = fetchers
    assert [fetch(), fetch()] == [None, None]
    shown.append(cluster.credentials("manager", "m"))
    assert fetch() is not None
    assert fetch() is None


def test_the_identity_port_serves_callers_without_a_certificate() -> None:
    async def run() -> None:
        cluster = await TrustedCluster().start()
        stranger = TrustedCluster()
        secured = ca_server_credentials(cluster.manager)
        async with serving(add_ca, cluster.ca_service(), secured) as port:
            at = f"127.0.0.1:{port}"
            async with ca_channel(at, cluster.root.certificate_pem) as channel:
                stub = ca_pb2_grpc.CaStub(channel)
                answer = await stub.GetRoot(ca_pb2.GetRootRequest(), timeout=10)
                assert answer.ca_pem == cluster.root.certificate_pem
                large = ca_pb2.IssueRequest(csr_pem=bytes(CA_MESSAGE_LIMIT + 1))
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stub.Issue(large, timeout=10)
                assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert await refused(ca_channel(at, stranger.root.certificate_pem))

    asyncio.run(run())


def test_two_servers_never_share_a_port() -> None:
    async def run() -> None:
        async with serving(ADD, Well()) as port:
            with pytest.raises(RuntimeError, match="bind"):
                async with serving(ADD, Well(), address=f"127.0.0.1:{port}"):
                    pass

    asyncio.run(run())


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        for name in ("http_proxy", "https_proxy", "grpc_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        cluster = TrustedCluster()

        async def run() -> None:
            async with serving(ADD, Well(), node_server_credentials(cluster.manager)) as port:
                assert await check(node_channel(f"127.0.0.1:{port}", cluster.manager))

        asyncio.run(run())


def test_the_socket_is_reached_and_its_path_must_fit(tmp_path: Path) -> None:
    async def run() -> str:
        path = tmp_path / "s"
        async with serving(ADD, Well(), address=f"unix:{path}"):
            return await check(unix_channel(path))

    assert asyncio.run(run()).startswith("unix:")
    with pytest.raises(SwarmError) as caught:
        unix_channel(tmp_path / ("x" * 108))
    assert (caught.value.code, caught.value.field) == (Code.INVALID, "socket")
