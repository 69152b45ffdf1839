"""The connection breaks again and again while a host is installed: it becomes what it is to be."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from hostkit.process import Completed
from machine.distribution.own import own
from machine.provision import Installer
from machine.provisioning import Wanted
from machine.ssh.connection import Circumstances
from machine.ssh.host_keys import KnownHosts
from machine.ssh.keys import Keyring
from machine.ssh.questions import NoAnswers
from machine.ssh.remote import SshRemote
from machine.target import Target
from tests.support.installing import what_is_on
from tests.support.machine_hosts.lab import MachineLab, MakeHosts

pytestmark = [pytest.mark.machines, pytest.mark.timeout(600, func_only=True)]

_LOOKS = 3
"""Calls with which every run begins: facts, the manifest, the state of all. They change nothing."""
_STRIDE = 4


class CutRemote:
    """A way to a host that breaks at a call: while the host does what that one asked for."""

    def __init__(self, inner: SshRemote, calls: int) -> None:
        self._inner = inner
        self._left = calls
        self.name = inner.name

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float,
        limit: int = 1 << 20,
        tell: Callable[[str], None] | None = None,
    ) -> Completed:
        await self._count()
        return await self._inner.run(argv, stdin=stdin, timeout=timeout, limit=limit, tell=tell)

    async def read(self, path: str, *, limit: int = 1 << 20) -> bytes | None:
        await self._count()
        return await self._inner.read(path, limit=limit)

    async def write(
        self, path: str, content: bytes, *, mode: int, owner: str = "root:root"
    ) -> None:
        await self._count()
        await self._inner.write(path, content, mode=mode, owner=owner)

    async def upload(
        self, source: Path, path: str, *, mode: int, tell: Callable[[int], None] | None = None
    ) -> None:
        await self._count()
        await self._inner.upload(source, path, mode=mode, tell=tell)

    async def close(self) -> None:
        await self._inner.close()

    async def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            # The call goes out with its connection under it; how far the host comes is its affair.
            asyncio.get_running_loop().call_later(0.2, lambda: asyncio.ensure_future(self.close()))


def test_whatever_is_cut_off_is_gone_on_with(
    lab: MachineLab, machine_hosts: MakeHosts, tmp_path: Path
) -> None:
    (host,) = machine_hosts("h1")
    before = what_is_on(host)
    target = Target(host.address, user="root", key=str(lab.key), agent=False)
    around = Circumstances(KnownHosts(tmp_path / "known_hosts"), Keyring(NoAnswers()))
    installer = Installer("alice@here")
    wanted = Wanted(own(tmp_path).version)

    async def until_done(act: Callable[[CutRemote], Awaitable[object]]) -> int:
        """Tries again and again, a little further each time; how often that was."""
        for tries in itertools.count(1):
            inner = await SshRemote.connect("h1", target, around)
            remote = CutRemote(inner, _LOOKS + _STRIDE * tries)
            try:
                await act(remote)
                return tries
            except SwarmError as error:
                if error.code is not Code.UNAVAILABLE:
                    raise
            finally:
                await remote.close()
        raise AssertionError

    async def install(remote: CutRemote) -> None:
        await installer.apply(remote, wanted, print)

    async def is_done(remote: CutRemote) -> None:
        assert await installer.changes(remote, wanted) == []

    async def remove(remote: CutRemote) -> None:
        await installer.remove(remote, print)

    assert lab.inside(until_done(install)) > 3
    lab.inside(until_done(is_done))
    assert host.run(["systemctl", "is-active", "swarmd"]) == "active\n"
    assert lab.inside(until_done(remove)) > 1
    assert sorted(what_is_on(host) ^ before) == []
