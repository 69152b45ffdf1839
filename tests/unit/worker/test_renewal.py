"""Certificates are renewed in time: months in virtual time, with real certificates."""

import asyncio
import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from api.errors import Code, SwarmError
from api.identity import BACKDATE
from tests.sim.control.loop import VirtualLoop
from tests.support.trust import DAY, TrustedCluster
from worker import renewal

NODE = "0123456789abcdefghijklmno"
LIFE = 90 * DAY


@pytest.fixture(scope="module")
def cluster() -> TrustedCluster:
    return TrustedCluster()


class Daemon:
    """A node that keeps its certificate fresh; `renewed` tells when, in seconds of its life."""

    def __init__(self, cluster: TrustedCluster, loop: VirtualLoop, *, seed: int = 1) -> None:
        self._cluster = cluster
        self._loop = loop
        self.life = LIFE
        self.refusals = 0
        self.tries: list[float] = []
        self.renewed: list[float] = []
        self.certificate = self.sign()
        self.renewal = renewal.Renewal(
            certificate=lambda: self.certificate,
            renew=self._renew,
            chance=random.Random(seed),
            wall=self._wall,
        )

    def _wall(self) -> float:
        return self._cluster.now + self._loop.time()

    def sign(self) -> bytes:
        made = self._cluster.credentials("worker", NODE, now=self._wall(), expiry=self.life)
        return made.certificate_pem

    async def _renew(self) -> None:
        self.tries.append(self._loop.time())
        if len(self.tries) <= self.refusals:
            raise SwarmError(Code.UNAVAILABLE, "no leader")
        self.certificate = self.sign()
        self.renewed.append(self._loop.time())


def live(cluster: TrustedCluster, seconds: float, seed: int = 1) -> Daemon:
    """A node after so many seconds."""
    return lived(cluster, seconds, lambda _: None, seed)


def lived(
    cluster: TrustedCluster, seconds: float, begin: Callable[[Daemon], None], seed: int = 1
) -> Daemon:
    with VirtualLoop() as loop:
        daemon = Daemon(cluster, loop, seed=seed)
        begin(daemon)

        async def life() -> None:
            running = asyncio.create_task(daemon.renewal.run())
            await asyncio.sleep(seconds)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        living = loop.create_task(life())
        while not living.done():
            loop.step()
        living.result()
    return daemon


def test_the_moment_is_at_50_to_80_percent_of_life(cluster: TrustedCluster) -> None:
    certificate = cluster.credentials("worker", NODE, expiry=100_000).certificate_pem
    chance = random.Random(3)
    delays = [renewal.delay_until_renewal(certificate, cluster.now, chance) for _ in range(300)]
    assert 50_000 - 2 <= min(delays) < 52_000
    assert 78_000 < max(delays) <= 80_000
    assert renewal.delay_until_renewal(certificate, cluster.now + 90_000, chance) == 0


def test_nodes_renew_once_each_spread_over_50_to_80_percent_of_90_days(
    cluster: TrustedCluster,
) -> None:
    moments = [live(cluster, 0.81 * LIFE, seed).renewed for seed in range(20)]
    assert {len(each) for each in moments} == {1}
    first = [moment / LIFE for (moment,) in moments]
    assert 0.5 <= min(first) <= max(first) <= 0.8
    assert max(first) - min(first) > 0.15


def test_over_a_year_a_certificate_is_always_fresh(cluster: TrustedCluster) -> None:
    renewed = live(cluster, 365 * DAY).renewed
    steps = [b - a for a, b in pairwise([0.0, *renewed])]
    assert len(renewed) >= 5
    assert all(0.5 * LIFE - BACKDATE <= step <= 0.8 * LIFE for step in steps)


def test_another_life_of_certificates_holds_from_the_next_renewal(cluster: TrustedCluster) -> None:
    def shorten(daemon: Daemon) -> None:
        daemon.life = DAY
        daemon.certificate = daemon.sign()
        daemon.life = 3600.0  # `swarm update --cert-expiry 1h`, the least there is

    renewed = lived(cluster, DAY, shorten).renewed
    assert renewed[0] >= 0.5 * DAY - BACKDATE
    steps = [b - a for a, b in pairwise(renewed)]
    assert steps
    assert all(0.5 * 3600 - 2 <= step <= 0.8 * 3600 for step in steps)


def test_a_failure_is_tried_again_rarer_and_rarer(cluster: TrustedCluster) -> None:
    def refuse(daemon: Daemon) -> None:
        daemon.refusals = 12

    tried = lived(cluster, 0.9 * LIFE, refuse).tries
    gaps = [b - a for a, b in pairwise(tried)]
    assert len(tried) == 13
    assert 5.0 <= gaps[0] <= 10.0
    assert all(300.0 <= gap <= 600.0 for gap in gaps[-4:])


def test_a_change_of_root_does_not_wait(cluster: TrustedCluster) -> None:
    renewed = lived(cluster, 60.0, lambda daemon: daemon.renewal.renew_now()).renewed
    assert renewed == [0.0]
