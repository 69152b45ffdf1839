"""Our client of Docker's protocol, against our own server, over volumes that are really there."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from runtime.volume.driver import Capabilities, Known, Place, Scope, Volume
from runtime.volume.wants import OwnVolume, Want, own_key
from tests.support.served_volumes import Serve, Server, server_in

DATA = Volume("data")


class NoKeeper:
    async def serve(self, *_: object) -> int:
        raise AssertionError("nothing is to be kept")


def place(id: str) -> Place:
    return Place(id, Path("/nowhere"), NoKeeper())


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    return server_in(tmp_path)


def run(serve: Serve, *scenarios: Callable[[Server], Awaitable[None]]) -> None:
    """Each in a daemon of its own, one after the other."""

    async def whole() -> None:
        for scenario in scenarios:
            async with serve() as server:
                await scenario(server)

    asyncio.run(whole())


def test_the_life_of_a_volume(serve: Serve) -> None:
    async def life(server: Server) -> None:
        client = server.client
        assert await client.capabilities() == Capabilities(Scope.LOCAL, deletes=True)
        await client.create(DATA)
        await client.create(DATA)
        known = Known("data", None, "1970-01-01T00:00:00Z")
        assert await client.get("data") == known
        path = (await client.mount(DATA, place("c1"))).path
        (path / "file").write_text("kept")
        assert (await client.mount(DATA, place("c2"))).path == path
        assert (await client.list())[0].path == path
        for _ in range(2):
            await client.unmount(DATA, place("c1"))
        with pytest.raises(SwarmError) as caught:
            await client.remove(DATA)
        assert caught.value.code is Code.REFUSED
        await client.unmount(DATA, place("c2"))
        assert await client.get("data") == known
        await client.remove(DATA)
        assert await client.list() == []
        assert not path.exists()

    run(serve, life)


def test_containers_of_docker_and_of_ours_share_a_mount(serve: Serve) -> None:
    async def shared(server: Server) -> None:
        own = await server.host.own.named(OwnVolume("data", "local"))
        ours = await server.host.use("task1", Want(own_key("data"), own.driver, own.volume))
        assert (await server.client.mount(DATA, place("c1"))).path == ours
        await server.host.leave("task1")
        assert server.host.mounted_keys() == [own_key("data")]
        await server.client.unmount(DATA, place("c1"))
        assert server.host.mounted_keys() == []

    run(serve, shared)


def test_what_a_container_of_ours_has_is_not_removed(serve: Serve) -> None:
    async def used(server: Server) -> None:
        own = await server.host.own.named(OwnVolume("data", "local"))
        path = await server.host.use("task1", Want(own_key("data"), own.driver, own.volume))
        (path / "file").write_text("kept")
        with pytest.raises(SwarmError, match="container task1 has it") as caught:
            await server.client.remove(DATA)
        assert caught.value.code is Code.REFUSED
        assert (path / "file").read_text() == "kept"
        await server.host.leave("task1")
        await server.client.remove(DATA)
        assert not path.exists()

    run(serve, used)


def test_a_mount_outlives_the_daemon(serve: Serve) -> None:
    async def before(server: Server) -> None:
        await server.client.create(DATA)
        await server.client.mount(DATA, place("c1"))

    async def after(server: Server) -> None:
        assert server.host.mounted_keys() == [own_key("data")]
        assert (await server.client.get("data")).path is not None
        await server.client.unmount(DATA, place("c1"))
        assert server.host.mounted_keys() == []

    run(serve, before, after)


def test_volumes_of_others_are_not_served(serve: Serve) -> None:
    async def others(server: Server) -> None:
        await server.host.own.named(OwnVolume("anonymous", "local", owner="task1"))
        assert await server.client.list() == []
        for call in (
            server.client.get("anonymous"),
            server.client.mount(Volume("anonymous"), place("c1")),
        ):
            with pytest.raises(SwarmError) as caught:
                await call
            assert caught.value.code is Code.NOT_FOUND
        await server.client.remove(Volume("anonymous"))
        assert [own.name for own in server.host.own.every()] == ["anonymous"]

    run(serve, others)


def test_what_the_driver_refuses_is_told_in_its_words(serve: Serve) -> None:
    async def refused(server: Server) -> None:
        with pytest.raises(SwarmError, match="colour"):
            await server.client.create(Volume("data", {"colour": "red"}))
        assert await server.client.list() == []

    run(serve, refused)


def test_a_mount_that_fails_is_not_kept(serve: Serve, tmp_path: Path) -> None:
    async def failing(server: Server) -> None:
        options = {"type": "none", "o": "bind", "device": str(tmp_path / "gone")}
        await server.client.create(Volume("data", options))
        with pytest.raises(SwarmError):
            await server.client.mount(DATA, place("c1"))
        await server.client.remove(DATA)

    run(serve, failing)


def test_a_damaged_file_of_uses_is_refused(serve: Serve, tmp_path: Path) -> None:
    async def nothing(server: Server) -> None:
        pass

    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "served.json").write_text("[{}]")
    with pytest.raises(SwarmError, match="damaged"):
        run(serve, nothing)
