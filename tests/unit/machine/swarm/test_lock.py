"""The lock on hosts: the very script that runs there, run here, for each host in a folder."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from hostkit.process import Completed
from machine.local import LocalRemote
from machine.swarm.lock import LEASE, Lock, ask


class Away(LocalRemote):
    """A host that can be cut off."""

    is_away = False

    async def run(self, *args: object, **named: object) -> Completed:
        if self.is_away:
            raise SwarmError(Code.UNAVAILABLE, f"{self.name} is not reached")
        return await super().run(*args, **named)  # type: ignore[arg-type]


def lock(
    id: str, folder: Path, *, remotes: Mapping[str, Away] | None = None, now: float = 0.0
) -> Lock:
    hosts = remotes or {"h1": Away("h1")}
    return Lock(id, f"{id} does things", hosts, tuple(hosts), lambda: now, folder=str(folder))


def test_a_second_operator_is_told_who_works(tmp_path: Path) -> None:
    async def scene() -> None:
        async with lock("alice", tmp_path).held():
            with pytest.raises(SwarmError, match="locked by alice does things") as refused:
                async with lock("bob", tmp_path).held():
                    pass
            assert refused.value.code is Code.REFUSED
        async with lock("bob", tmp_path).held():
            pass

    asyncio.run(scene())


def test_a_lock_is_taken_again_by_its_own_holder_and_ends_with_its_time(tmp_path: Path) -> None:
    async def scene() -> None:
        remote = Away("h1")
        folder = str(tmp_path)
        assert await ask(remote, "take", "alice", "a", folder=folder) is None
        assert await ask(remote, "take", "alice", "a", folder=folder) is None
        holder = await ask(remote, "show", "", folder=folder)
        assert holder is not None
        assert (holder.text, 0 < holder.seconds <= LEASE) == ("a", True)
        _passed(tmp_path)
        assert await ask(remote, "show", "", folder=folder) is None
        # Nobody took it since: whoever was late still has it.
        assert await ask(remote, "renew", "alice", "a", folder=folder) is None
        _passed(tmp_path)
        assert await ask(remote, "take", "bob", "b", folder=folder) is None
        assert await ask(remote, "renew", "alice", "a", folder=folder) is not None

    asyncio.run(scene())


def _passed(folder: Path) -> None:
    """As if the time of the lock were over."""
    file = folder / "lock"
    owner, _, text = file.read_text().splitlines()
    file.write_text(f"{owner}\n0\n{text}\n")


def test_a_broken_lock_is_not_renewed(tmp_path: Path) -> None:
    async def scene() -> None:
        remote, folder = Away("h1"), str(tmp_path)
        await ask(remote, "take", "alice", "a", folder=folder)
        broken = await ask(remote, "break", "", folder=folder)
        assert broken is not None
        assert broken.text == "a"
        assert await ask(remote, "renew", "alice", "a", folder=folder) is not None

    asyncio.run(scene())


@pytest.mark.parametrize("content", ["", "alice\n", "alice\nsoon\nx\n", "\x00\xff"])
def test_a_damaged_lock_holds_nobody_up(tmp_path: Path, content: str) -> None:
    (tmp_path / "lock").write_text(content, encoding="latin-1")
    assert asyncio.run(ask(Away("h1"), "take", "bob", "b", folder=str(tmp_path))) is None


def test_of_two_hosts_none_is_kept_if_one_is_taken(tmp_path: Path) -> None:
    """Each host has its folder; the first is free, the second is not."""

    async def scene() -> None:
        (tmp_path / "h1").mkdir()
        ours = _Several(tmp_path)
        await ask(Away("h2"), "take", "bob", "b", folder=str(tmp_path / "h2"))
        with pytest.raises(SwarmError, match="h2 is locked by b"):
            async with ours.held():
                pass
        assert await ask(Away("h1"), "take", "eve", "e", folder=str(tmp_path / "h1")) is None

    asyncio.run(scene())


class _Several(Lock):
    """A lock on two hosts, which are folders here."""

    def __init__(self, base: Path) -> None:
        hosts = {name: _Rooted(name, base / name) for name in ("h1", "h2")}
        super().__init__("alice", "a", hosts, ("h1", "h2"), lambda: 0.0)


class _Rooted(Away):
    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self._folder = folder

    async def run(self, *args: object, **named: object) -> Completed:
        (argv,) = args
        assert isinstance(argv, tuple)
        return await super().run((*argv[:-1], str(self._folder)), **named)


class Mute(Away):
    """A host that does what it is told, and whose answer to the first command is lost."""

    is_heard = False

    async def run(self, *args: object, **named: object) -> Completed:
        done = await super().run(*args, **named)
        if not self.is_heard:
            self.is_heard = True
            raise SwarmError(Code.DEADLINE, f"{self.name} took too long")
        return done


def test_what_was_taken_is_given_back_though_the_answer_was_lost(tmp_path: Path) -> None:
    async def scene() -> None:
        held = lock("alice", tmp_path, remotes={"h1": Mute("h1")})
        with pytest.raises(SwarmError, match="took too long"):
            async with held.held():
                pass
        assert not held.covers("h1")
        assert await ask(Away("h1"), "take", "bob", "b", folder=str(tmp_path)) is None

    asyncio.run(scene())


def test_what_was_not_renewed_is_not_acted_on(tmp_path: Path) -> None:
    moment = [0.0]
    hosts = {name: _Rooted(name, tmp_path / name) for name in ("h1", "h2", "h3", "w1")}
    held = Lock("alice", "a", hosts, ("h1", "h2", "h3"), lambda: moment[0])

    async def scene() -> None:
        async with held.held():
            assert held.covers("h1")
            hosts["h3"].is_away = True
            moment[0] = LEASE - 5.0
            await held._renew("h1")
            await held._renew("h2")
            await held._renew("h3")
            assert held.covers("h1")
            assert held.covers("elsewhere")
            for lost in ("h3", "w1"):
                assert not held.covers(lost)
            hosts["h2"].is_away = True
            moment[0] += LEASE
            await held._renew("h1")
            assert not held.covers("h1")

    asyncio.run(scene())


def test_a_host_that_could_not_be_asked_in_time_is_asked_whose_it_is(tmp_path: Path) -> None:
    moment = [0.0]
    hosts = {"h1": _Rooted("h1", tmp_path / "h1")}
    held = Lock("alice", "a", hosts, (), lambda: moment[0])

    async def scene() -> None:
        async with held.held():
            moment[0] = LEASE
            assert not held.covers("h1")
            await held.make_sure("h1")
            assert held.covers("h1")
            moment[0] += LEASE
            await ask(hosts["h1"], "break")
            await ask(hosts["h1"], "take", "bob", "b")
            with pytest.raises(SwarmError, match="was lost") as lost:
                await held.make_sure("h1")
            assert lost.value.code is Code.CONFLICT

    asyncio.run(scene())


def test_managers_that_could_not_be_asked_in_time_are_asked_too(tmp_path: Path) -> None:
    moment = [0.0]
    hosts = {name: _Rooted(name, tmp_path / name) for name in ("h1", "h2", "h3", "w1")}
    held = Lock("alice", "a", hosts, ("h1", "h2", "h3"), lambda: moment[0])

    async def scene() -> None:
        async with held.held():
            moment[0] = LEASE
            hosts["h3"].is_away = True
            await held.make_sure("w1")
            await held.make_sure("elsewhere")
            with pytest.raises(SwarmError, match="was lost"):
                await held.make_sure("h3")
            moment[0] += LEASE
            hosts["h2"].is_away = True
            for name in ("w1", "elsewhere"):
                with pytest.raises(SwarmError, match="was lost"):
                    await held.make_sure(name)

    asyncio.run(scene())
