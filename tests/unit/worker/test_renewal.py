"""Certificates are renewed in time, checked, and handed on; against a real authority."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from api.certificates import is_key_of
from api.errors import Code, SwarmError
from api.identity import Credentials, make_csr, new_key
from api.v1 import ca_pb2, ca_pb2_grpc
from manager.ca.authority import sign
from tests.support.trust import DAY, TrustedCluster, serving
from worker import renewal

NODE = "0123456789abcdefghijklmno"


class Authority(ca_pb2_grpc.CaRenewalServicer):
    """Signs what it is sent, for `node_id` of `cluster_id`; `refusals` are answered first."""

    def __init__(self, cluster: TrustedCluster) -> None:
        self.cluster = cluster
        self.node_id = NODE
        self.cluster_id = cluster.id
        self.other_key: bytes = b""
        self.ca_pem: bytes = cluster.root.certificate_pem
        self.refusals: list[SwarmError] = []
        self.asked = 0

    async def Renew(self, request: ca_pb2.RenewRequest, context: Any) -> ca_pb2.IssueResponse:
        self.asked += 1
        if self.refusals:
            raise self.refusals.pop(0)
        certificate = sign(
            self.cluster.root,
            self.other_key or request.csr_pem,
            node_id=self.node_id,
            role="worker",
            cluster_id=self.cluster_id,
            now=self.cluster.now,
            expiry=DAY,
        )
        return ca_pb2.IssueResponse(certificate_pem=certificate, ca_pem=self.ca_pem)


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


def renewed(authority: Authority, present: Credentials) -> Credentials:
    async def scenario(connect: Callable[[], grpc.aio.Channel]) -> Credentials:
        async with connect() as channel:
            return await renewal.renew(channel, present)

    found: Credentials = run(authority, scenario)
    return found


def test_the_moment_is_at_50_to_80_percent_of_life(cluster: TrustedCluster) -> None:
    certificate = cluster.credentials("worker", NODE, expiry=100_000).certificate_pem
    chance = random.Random(3)
    delays = [renewal.delay_until_renewal(certificate, cluster.now, chance) for _ in range(300)]
    assert 50_000 - 2 <= min(delays) < 52_000
    assert 78_000 < max(delays) <= 80_000
    assert renewal.delay_until_renewal(certificate, cluster.now + 90_000, chance) == 0


def test_new_key_and_certificate(cluster: TrustedCluster) -> None:
    present = cluster.credentials("worker", NODE)
    fresh = renewed(Authority(cluster), present)
    assert fresh.key_pem != present.key_pem
    assert is_key_of(fresh.key_pem, fresh.certificate_pem)
    assert fresh.identity.id == NODE


def test_what_is_not_the_nodes_is_not_taken_over(cluster: TrustedCluster) -> None:
    present = cluster.credentials("worker", NODE)
    someone = Authority(cluster)
    someone.node_id = "someone0000000000000000000"
    elsewhere = Authority(cluster)
    elsewhere.cluster_id = "elsewhere"
    foreign_root = Authority(cluster)
    foreign_root.ca_pem = TrustedCluster().root.certificate_pem
    for authority, why in (
        (someone, "it is for someone"),
        (elsewhere, "of cluster elsewhere"),
        (foreign_root, "did not sign it"),
    ):
        with pytest.raises(SwarmError, match=why):
            renewed(authority, present)


def test_a_certificate_for_another_key_is_not_taken_over(cluster: TrustedCluster) -> None:
    authority = Authority(cluster)
    authority.other_key = make_csr(new_key())
    with pytest.raises(SwarmError, match="not for the key that was sent"):
        renewed(authority, cluster.credentials("worker", NODE))


def test_a_refusal_keeps_its_cause(cluster: TrustedCluster) -> None:
    authority = Authority(cluster)
    authority.refusals = [SwarmError(Code.UNAUTHENTICATED, "the node was removed")]
    with pytest.raises(SwarmError, match="the node was removed") as caught:
        renewed(authority, cluster.credentials("worker", NODE))
    assert caught.value.code is Code.UNAUTHENTICATED


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
