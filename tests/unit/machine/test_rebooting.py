"""A restart over SSH, on a host that is written down: what it answers, and when it is away."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from hostkit.process import Completed
from machine import rebooting
from machine.rebooting import power_off, reboot

BOOT = "1b0d3c1e-0000-4000-8000-000000000000"


class PaperHost:
    """Fulfils Remote as far as a restart needs it. `away`: so many tries to reach it fail."""

    def __init__(self, *, away: int = 2, ignores: bool = False, cuts: bool = False) -> None:
        self.name = "h1"
        self.away = away
        self.ignores = ignores
        self.cuts = cuts
        self.started = 100
        self.asked: list[str] = []
        self.open = 0
        self._left = 0

    async def connect(self) -> "PaperHost":
        if self._left:
            self._left -= 1
            raise SwarmError(Code.UNAVAILABLE, "cannot reach h1", why="connection refused")
        self.open += 1
        return self

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float,
        limit: int = 1 << 20,
        tell: Callable[[str], None] | None = None,
    ) -> Completed:
        if argv[0] == "cat":
            fields = " ".join(["S", *["0"] * 18, str(self.started), "0"])
            return Completed(tuple(argv), 0, f"{BOOT}\n1 (a) b) {fields}\n".encode(), b"")
        self.asked.append(argv[-1])
        if not self.ignores:
            self._left, self.started = self.away, self.started + 1
        if self.cuts:
            raise SwarmError(Code.UNAVAILABLE, "the way to h1 is lost")
        return Completed(tuple(argv), 0, b"", b"")

    async def read(self, path: str, *, limit: int = 1 << 20) -> bytes | None:
        raise NotImplementedError

    async def write(
        self, path: str, content: bytes, *, mode: int, owner: str = "root:root"
    ) -> None:
        raise NotImplementedError

    async def upload(
        self, source: Path, path: str, *, mode: int, tell: Callable[[int], None] | None = None
    ) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        self.open -= 1


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebooting, "_STEP", 0.001)


@pytest.mark.parametrize("cuts", [False, True])
def test_it_is_awaited_until_another_run_of_the_host_answers(cuts: bool) -> None:
    host = PaperHost(cuts=cuts)
    asyncio.run(reboot(host.connect, 60.0))
    assert (host.asked, host.open, host.started) == (["reboot"], 0, 101)


@pytest.mark.parametrize(
    ("host", "words"),
    [(PaperHost(ignores=True), "it went on running"), (PaperHost(away=10**9), "refused")],
)
def test_one_that_does_not_come_back_is_told_with_the_reason(
    host: PaperHost, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebooting, "monotonic", itertools.count().__next__)
    with pytest.raises(SwarmError, match=words) as caught:
        asyncio.run(reboot(host.connect, 5))
    assert caught.value.code is Code.DEADLINE
    assert host.open == 0


def test_one_that_is_away_is_not_restarted() -> None:
    host = PaperHost()
    host._left = 1
    with pytest.raises(SwarmError, match="cannot reach"):
        asyncio.run(reboot(host.connect, 60.0))
    assert host.asked == []


def test_it_is_shut_down() -> None:
    host = PaperHost(cuts=True)
    asyncio.run(power_off(host.connect))
    assert (host.asked, host.open) == (["poweroff"], 0)
