"""The driver with a real plugin, in a process of its own behind a real socket."""

import asyncio
import json
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from runtime.volume.driver import Capabilities, Known, Place, Scope, Volume
from runtime.volume.plugin.connection import Connection
from runtime.volume.plugin.discovery import Folders
from runtime.volume.plugin.driver import PluginDriver
from tests.support.plugin_process import PluginProcess
from tests.support.silent_mount import silent_mount

VOLUME = Volume("data", {"size": "1"})
PATIENT, HASTY = 30.0, 0.3
QUESTIONS = ("Get", "List", "Path")


class NoKeeper:
    """A plugin serves its mounts itself."""

    async def serve(self, *_: object) -> int:
        raise AssertionError("nothing is to be kept")


PLACE = Place("mount-1", Path("/nowhere"), NoKeeper())


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[PluginProcess]:
    with PluginProcess(tmp_path / "run" / "p.sock", tmp_path / "plugin") as started:
        yield started


class Asker:
    """Asks the driver; waits for absent plugins pass at once, and are told."""

    def __init__(self, plugin: PluginProcess, *kept: Path) -> None:
        self.plugin = plugin
        self.slept: list[float] = []
        self.woken: Callable[[], None] = lambda: None
        folders = Folders(plugin.socket.parent, (plugin.socket.parent,))
        self.connection = Connection("p", folders, lambda: sum(self.slept), self._sleep)
        self.driver = PluginDriver(
            self.connection, kept=kept, handshake=PATIENT, long=PATIENT, short=PATIENT
        )

    def hasty(self, verb: str) -> PluginDriver:
        """A driver that has no patience with this verb."""
        return PluginDriver(
            self.connection,
            look=HASTY,
            handshake=HASTY if verb == "Activate" else PATIENT,
            long=PATIENT if verb in ("", "Activate", *QUESTIONS) else HASTY,
            short=HASTY if verb in QUESTIONS else PATIENT,
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.woken()

    def failure(self, call: Coroutine[Any, Any, object]) -> SwarmError:
        with pytest.raises(SwarmError) as caught:
            asyncio.run(call)
        assert "p " in caught.value.what
        assert caught.value.why
        return caught.value


@pytest.fixture
def asker(plugin: PluginProcess) -> Asker:
    return Asker(plugin)


def test_the_life_of_a_volume(asker: Asker, plugin: PluginProcess) -> None:
    async def life() -> None:
        driver = asker.driver
        assert await driver.capabilities() == Capabilities(Scope.GLOBAL, deletes=True)
        await driver.create(VOLUME)
        path = plugin.folder / "volumes" / "data"
        assert await driver.get("data") == Known("data", path, status={"free": 1})
        assert [known.name for known in await driver.list()] == ["data"]
        assert (await driver.mount(VOLUME, PLACE)).path == path
        await driver.mount(VOLUME, Place("mount-2", PLACE.target, PLACE.keeper))
        assert plugin.users("data") == ["mount-1", "mount-2"]
        with pytest.raises(SwarmError) as caught:
            await driver.remove(VOLUME)
        assert caught.value.code is Code.REFUSED
        await driver.unmount(VOLUME, PLACE)
        await driver.unmount(VOLUME, Place("mount-2", PLACE.target, PLACE.keeper))
        await driver.remove(VOLUME)
        assert await driver.list() == []

    asyncio.run(life())
    assert ("VolumeDriver.Create", {"Name": "data", "Opts": {"size": "1"}}) in plugin.asked()


def test_where_a_volume_is_is_asked_for_if_it_is_not_told(asker: Asker) -> None:
    asyncio.run(asker.driver.create(VOLUME))
    told = {"Volume": {"Name": "data"}}
    asker.plugin.answers("Get", told)
    path = asker.plugin.folder / "volumes" / "data"
    assert asyncio.run(asker.driver.get("data")) == Known("data", path)
    get = {"body": json.dumps(told)}
    asker.plugin.order(Get=get, Path={"body": '{"Err": "not mounted"}'})
    assert asyncio.run(asker.driver.get("data")) == Known("data")


def test_each_call_may_come_again(asker: Asker, plugin: PluginProcess) -> None:
    async def twice() -> None:
        driver = asker.driver
        for _ in range(2):
            await driver.create(VOLUME)
        for _ in range(2):
            await driver.mount(VOLUME, PLACE)
        assert plugin.users("data") == ["mount-1"]
        for _ in range(2):
            await driver.unmount(VOLUME, PLACE)
        for _ in range(2):
            await driver.remove(VOLUME)
        await driver.unmount(VOLUME, PLACE)

    asyncio.run(twice())
    assert plugin.calls().count("Create") == 1


def test_the_handshake_comes_first_and_once(asker: Asker, plugin: PluginProcess) -> None:
    async def two() -> None:
        await asker.driver.list()
        await asker.driver.list()

    asyncio.run(two())
    assert plugin.calls() == ["Activate", "List", "List"]


def test_what_was_never_made_is_not_found(asker: Asker) -> None:
    assert asker.failure(asker.driver.get("data")).code is Code.NOT_FOUND
    assert asker.failure(asker.driver.mount(VOLUME, PLACE)).code is Code.NOT_FOUND


@pytest.mark.parametrize("verb", ["Unmount", "Remove"])
def test_what_only_sounds_like_a_missing_volume_is_no_success(asker: Asker, verb: str) -> None:
    """Else a volume that is still mounted would be given to another node."""
    driver = asker.driver
    asyncio.run(driver.create(VOLUME))
    asyncio.run(driver.mount(VOLUME, PLACE))
    asker.plugin.answers(verb, {"Err": "fusermount: command not found"})
    call = driver.unmount(VOLUME, PLACE) if verb == "Unmount" else driver.remove(VOLUME)
    assert "command not found" in asker.failure(call).why


@pytest.mark.parametrize("body", [{"Volume": None}, {}, {"Err": "volume data does not exist"}])
def test_a_plugin_has_many_words_for_no(asker: Asker, body: object) -> None:
    asker.plugin.answers("Get", body)
    assert asker.failure(asker.driver.get("data")).code is Code.NOT_FOUND


@pytest.mark.parametrize(
    "order",
    [
        {"status": 404, "body": "404 page not found"},
        {"body": '{"Err": "unknown"}'},
        {"status": 500, "body": '{"Err": "unknown"}'},
        {"body": "{}"},
    ],
)
def test_without_a_word_on_capabilities_it_is_local(asker: Asker, order: dict[str, Any]) -> None:
    asker.plugin.order(Capabilities=order)
    assert asyncio.run(asker.driver.capabilities()) == Capabilities(Scope.LOCAL, deletes=True)


@pytest.mark.parametrize(
    ("order", "code", "why"),
    [
        ({"body": "no JSON"}, Code.UNAVAILABLE, "did not answer with JSON"),
        ({"body": "[]"}, Code.UNAVAILABLE, "JSON object"),
        ({"body": '{"Err": 1}'}, Code.UNAVAILABLE, "Err is not a text"),
        ({"body": '{"Err": "disk on\\nfire"}'}, Code.UNAVAILABLE, "disk on fire"),
        ({"status": 500, "body": '{"Err": "disk on fire"}'}, Code.UNAVAILABLE, "disk on fire"),
        ({"status": 500, "body": "Oops"}, Code.UNAVAILABLE, "answered 500: Oops"),
        ({"status": 302, "body": "{}"}, Code.UNAVAILABLE, "answered 302"),
        ({"status": 404, "body": "404 page not found"}, Code.UNSUPPORTED, "404"),
        ({"huge": 8 << 20}, Code.UNAVAILABLE, "more than"),
        ({"hang": True}, Code.DEADLINE, "not done after"),
        ({"drip": True}, Code.DEADLINE, "not done after"),
        ({"crash": True}, Code.UNAVAILABLE, "Server disconnected"),
        ({"body": "{}"}, Code.UNAVAILABLE, "no Mountpoint"),
        ({"body": '{"Mountpoint": "/"}'}, Code.UNAVAILABLE, "whole host"),
        ({"body": '{"Mountpoint": "/proc/sys"}'}, Code.UNAVAILABLE, "is no volume"),
        ({"body": '{"Mountpoint": "data"}'}, Code.UNAVAILABLE, "absolute"),
        ({"body": '{"Mountpoint": "/x/../etc"}'}, Code.UNAVAILABLE, "without .."),
        ({"body": '{"Mountpoint": "/no/such/folder"}'}, Code.UNAVAILABLE, "nothing is at"),
        ({"body": '{"Mountpoint": 7}'}, Code.UNAVAILABLE, "not a text"),
    ],
)
def test_a_wrong_mount_is_named(asker: Asker, order: dict[str, Any], code: Code, why: str) -> None:
    asyncio.run(asker.driver.create(VOLUME))
    asker.plugin.order(Mount=order)
    driver = asker.hasty("Mount") if code is Code.DEADLINE else asker.driver
    failure = asker.failure(driver.mount(VOLUME, PLACE))
    assert failure.code is code
    assert why in failure.why
    assert asker.plugin.users("data") == []


def test_a_mount_that_cannot_be_given_away_is_let_go(plugin: PluginProcess) -> None:
    asker = Asker(plugin, plugin.folder)
    asyncio.run(asker.driver.create(VOLUME))
    assert "belongs to swarmd" in asker.failure(asker.driver.mount(VOLUME, PLACE)).why
    assert plugin.users("data") == []
    assert plugin.calls()[-1] == "Unmount"


@pytest.mark.root
def test_a_mount_that_hangs_is_let_go(asker: Asker, tmp_path: Path) -> None:
    async def hanging() -> None:
        await asker.driver.create(VOLUME)
        inside = tmp_path / "silent" / "x"
        asker.plugin.answers("Mount", {"Mountpoint": str(inside)})
        await asker.hasty("").mount(VOLUME, PLACE)

    (tmp_path / "silent").mkdir()
    with silent_mount(tmp_path / "silent"):
        failure = asker.failure(hanging())
    assert failure.code is Code.DEADLINE
    assert "does not answer" in failure.what
    assert asker.plugin.calls()[-1] == "Unmount"


@pytest.mark.parametrize("verb", ["Create", "Get", "List", "Remove", "Unmount"])
@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"hang": True}, Code.DEADLINE),
        ({"crash": True}, Code.UNAVAILABLE),
        ({"body": "{"}, Code.UNAVAILABLE),
    ],
)
def test_no_verb_hangs_or_hides_a_fault(
    asker: Asker, verb: str, order: dict[str, Any], code: Code
) -> None:
    driver = asker.hasty(verb) if code is Code.DEADLINE else asker.driver
    calls: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "Create": lambda: driver.create(VOLUME),
        "Get": lambda: driver.get("data"),
        "List": driver.list,
        "Remove": lambda: driver.remove(VOLUME),
        "Unmount": lambda: driver.unmount(VOLUME, PLACE),
    }
    asker.plugin.order(**{verb: order})
    failure = asker.failure(calls[verb]())
    assert failure.code is code
    assert verb in str(failure)


@pytest.mark.parametrize(
    ("order", "code", "why"),
    [
        ({"hang": True}, Code.DEADLINE, "not done"),
        ({"body": '{"Implements": ["NetworkDriver"]}'}, Code.UNAVAILABLE, "NetworkDriver"),
        ({"body": '{"Implements": []}'}, Code.UNAVAILABLE, "nothing"),
        ({"body": "{}"}, Code.UNAVAILABLE, "does not say what it implements"),
    ],
)
def test_a_wrong_handshake_is_named(
    asker: Asker, order: dict[str, Any], code: Code, why: str
) -> None:
    asker.plugin.order(Activate=order)
    driver = asker.hasty("Activate") if code is Code.DEADLINE else asker.driver
    for call in (driver.capabilities(), driver.list()):
        failure = asker.failure(call)
        assert failure.code is code
        assert why in failure.why


def test_a_plugin_that_tells_of_another_volume_lies(asker: Asker) -> None:
    asker.plugin.answers("Get", {"Volume": {"Name": "other"}})
    assert "tells of other" in asker.failure(asker.driver.get("data")).why


def test_a_plugin_that_comes_late_is_waited_for(asker: Asker, plugin: PluginProcess) -> None:
    plugin.kill()
    plugin.socket.unlink()
    asker.woken = lambda: plugin.start() if len(asker.slept) == 3 else None
    assert asyncio.run(asker.driver.list()) == []
    assert asker.slept == [1, 2, 4]


def test_a_plugin_that_never_comes_is_given_up(asker: Asker, plugin: PluginProcess) -> None:
    plugin.kill()
    failure = asker.failure(asker.driver.list())
    assert failure.code is Code.UNAVAILABLE
    assert "start the plugin" in failure.remedy
    assert asker.slept == [1, 2, 4, 8]


def test_who_asks_for_capabilities_does_not_wait(asker: Asker, plugin: PluginProcess) -> None:
    plugin.kill()
    assert asker.failure(asker.driver.capabilities()).code is Code.UNAVAILABLE
    assert asker.slept == []


def test_a_plugin_that_was_started_anew_is_greeted_anew(
    asker: Asker, plugin: PluginProcess
) -> None:
    asyncio.run(asker.driver.list())
    plugin.order(List={"crash": True})
    asker.failure(asker.driver.list())
    plugin.order()
    plugin.kill()
    plugin.start()
    assert asyncio.run(asker.driver.list()) == []
    assert plugin.calls() == ["Activate", "List", "List", "Activate", "List"]


def test_a_plugin_elsewhere_is_reached_by_tcp(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        (tmp_path / "p.spec").write_text(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        driver = PluginDriver(Connection("p", Folders(tmp_path / "no", (tmp_path,))))
        with pytest.raises(SwarmError, match="nobody listens where") as caught:
            asyncio.run(driver.capabilities())
    assert str(tmp_path / "p.spec") in caught.value.why


@pytest.mark.parametrize(
    "volume", [Volume("data", block=True), Volume("data", secrets={"password": b"hidden"})]
)
def test_what_the_protocol_cannot_say_is_refused(asker: Asker, volume: Volume) -> None:
    for call in (asker.driver.create(volume), asker.driver.mount(volume, PLACE)):
        failure = asker.failure(call)
        assert failure.code is Code.UNSUPPORTED
        assert "hidden" not in str(failure)
    assert asker.plugin.calls() == []


def test_nobody_is_fenced(asker: Asker) -> None:
    with pytest.raises(SwarmError) as caught:
        asyncio.run(asker.driver.fence(VOLUME, "n1"))
    assert caught.value.code is Code.UNSUPPORTED
