"""Certificates are renewed in time and handed on; against a real authority."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from api.errors import Code, SwarmError
from api.identity import Credentials
from api.v1 import ca_pb2, ca_pb2_grpc
from manager.ca.authority import sign
from tests.support.trust import DAY, TrustedCluster, serving
from worker import renewal

NODE = "0123456789abcdefghijklmno"


class Authority(ca_pb2_grpc.CaRenewalServicer):
    """Signs what it is sent; `refusals` are answered first."""

    def __init__(self, cluster: TrustedCluster) -> None:
        self.cluster = cluster
        self.refusals: list[SwarmError] = []
        self.asked = 0

    async def Renew(self, request: ca_pb2.RenewRequest, context: Any) -> ca_pb2.IssueResponse:
        self.asked += 1
        if self.refusals:
            raise self.refusals.pop(0)
        certificate = sign(
            self.cluster.root,
            request.csr_pem,
            node_id=NODE,
            role="worker",
            cluster_id=self.cluster.id,
            now=self.cluster.now,
            expiry=DAY,
        )
        return ca_pb2.IssueResponse(
            node_id=NODE,
            certificate_pem=certificate,
            ca_pem=self.cluster.root.certificate_pem,
            cluster_id=self.cluster.id,
        )


def run(
    authority: Authority, scenario: Callable[[Callable[[], grpc.aio.Channel]], Awaitable[Any]]
) -> Any:
    async def all_of_it() -> Any:
        add = ca_pb2_grpc.add_CaRenewalServicer_to_server
        async with serving(add, authority) as port, asyncio.timeout(30):
            return await scenario(lambda: grpc.aio.insecure_channel(f"127.0.0.1:{port}"))

    return asyncio.run(all_of_it())


@pytest.fixture(scope="module")
def cluster() -> TrustedCluster:
    return TrustedCluster()


def test_the_moment_is_at_50_to_80_percent_of_life(cluster: TrustedCluster) -> None:
    certificate = cluster.credentials("worker", NODE, expiry=100_000).certificate_pem
    chance = random.Random(3)
    delays = [renewal.delay_until_renewal(certificate, cluster.now, chance) for _ in range(300)]
    assert 50_000 - 2 <= min(delays) < 52_000
    assert 78_000 < max(delays) <= 80_000
    assert renewal.delay_until_renewal(certificate, cluster.now + 90_000, chance) == 0


class Daemon:
    """Keeps credentials, as a daemon does."""

    def __init__(self, present: Credentials, now: float) -> None:
        self.present = present
        self.now = now
        self.changed = asyncio.Event()

    async def take(self, fresh: Credentials) -> None:
        self.present = fresh
        self.changed.set()

    def renewal(self, connect: Callable[[], grpc.aio.Channel]) -> renewal.Renewal:
        return renewal.Renewal(
            credentials=lambda: self.present,
            connect=connect,
            renewed=self.take,
            chance=random.Random(1),
            wall=lambda: self.now,
        )


def watch(
    authority: Authority,
    daemon: Daemon,
    scenario: Callable[[renewal.Renewal], Awaitable[None]],
) -> None:
    async def all_of_it(connect: Callable[[], grpc.aio.Channel]) -> None:
        shell = daemon.renewal(connect)
        running = asyncio.create_task(shell.run())
        try:
            await scenario(shell)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run(authority, all_of_it)


def test_a_certificate_that_is_due_is_renewed_once(cluster: TrustedCluster) -> None:
    old = cluster.credentials("worker", NODE, now=cluster.now - 0.9 * DAY)
    authority, daemon = Authority(cluster), Daemon(old, cluster.now)

    async def scenario(_: renewal.Renewal) -> None:
        await daemon.changed.wait()
        await asyncio.sleep(0.05)

    watch(authority, daemon, scenario)
    assert authority.asked == 1
    assert daemon.present.key_pem != old.key_pem


def test_a_change_of_role_does_not_wait(cluster: TrustedCluster) -> None:
    fresh = cluster.credentials("worker", NODE)
    authority, daemon = Authority(cluster), Daemon(fresh, cluster.now)

    async def scenario(shell: renewal.Renewal) -> None:
        await asyncio.sleep(0.05)
        assert authority.asked == 0
        shell.renew_now()
        await daemon.changed.wait()

    watch(authority, daemon, scenario)
    assert authority.asked == 1


def test_a_failure_is_tried_again(cluster: TrustedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "RETRY_FIRST", 0.01)
    old = cluster.credentials("worker", NODE, now=cluster.now - 0.9 * DAY)
    authority, daemon = Authority(cluster), Daemon(old, cluster.now)
    authority.refusals = [SwarmError(Code.UNAVAILABLE, "no leader")] * 3

    async def scenario(_: renewal.Renewal) -> None:
        await daemon.changed.wait()

    watch(authority, daemon, scenario)
    assert authority.asked == 4
