"""Docker volume plugins with services, in a real daemon; and its volumes served to Docker."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.errors import SwarmError
from runtime.volume.driver import Place, Volume
from runtime.volume.plugin.connection import Connection
from runtime.volume.plugin.discovery import Folders
from runtime.volume.plugin.driver import PluginDriver
from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm
from tests.support.plugin_process import PluginProcess

pytestmark = pytest.mark.cluster

PLUGINS = Path("/run/docker/plugins")
WRITE = f"echo written >> /data/log; {OBEDIENT}"
MOUNT = ("--mount", "type=volume,volume-driver=p,volume-opt=size=1,source=data,target=/data")


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    config = tmp_path_factory.mktemp("config")
    daemon = ("--serve-volumes-in", str(PLUGINS))
    with a_swarm(config, workers=0, daemon=daemon) as made:
        yield made


@pytest.fixture
def plugin(swarm: Swarm) -> Iterator[PluginProcess]:
    host = swarm.host("m1")
    folder = host.paths.directory.parent / "plugin"
    with PluginProcess(PLUGINS / "p.sock", folder, host.entering) as started:
        yield started
        started.order()
        swarm.clear()


def log(plugin: PluginProcess) -> list[str]:
    """What tasks wrote into the volume, as the plugin has it."""
    path = plugin.folder / "volumes" / "data" / "log"
    return path.read_text().split() if path.exists() else []


def test_a_volume_of_a_plugin(swarm: Swarm, plugin: PluginProcess) -> None:
    swarm.create("web", *MOUNT, TOOLS, "sh", "-c", WRITE)
    swarm.until(lambda: log(plugin) == ["written"], "the task has written")
    assert ("VolumeDriver.Create", {"Name": "data", "Opts": {"size": "1"}}) in plugin.asked()
    (user,) = plugin.users("data")
    swarm.kill_daemon("m1")
    swarm.start_daemon("m1")
    swarm.until_runs("web", 1)
    assert plugin.users("data") == [user], "the mount outlives the daemon"
    swarm.clear()
    swarm.until(lambda: plugin.users("data") == [], "the volume is let go")
    swarm.create("web", *MOUNT, TOOLS, "sh", "-c", WRITE)
    swarm.until(lambda: log(plugin) == ["written"] * 2, "the data is there again")


def test_a_plugin_that_hangs_and_dies_is_the_tasks_affair_alone(
    swarm: Swarm, plugin: PluginProcess
) -> None:
    plugin.order(Mount={"hang": True})
    before = plugin.calls().count("Mount")
    flags = ("--detach", "--name", "stuck", "--restart-delay", "1s")
    swarm.ctl("service", "create", *flags, *MOUNT, TOOLS, "sh", "-c", WRITE)
    swarm.until(lambda: plugin.calls().count("Mount") > before, "the plugin hangs")
    swarm.create("other", TOOLS, "sh", "-c", OBEDIENT)
    assert [task.state for task in swarm.tasks("stuck")] == ["Preparing"]
    plugin.kill()
    plugin.order(Mount={"body": '{"Mountpoint": "/"}'})
    plugin.start()

    def told(words: str) -> bool:
        return any(words in task.error for task in swarm.tasks("stuck"))

    swarm.until(lambda: told("driver p ended in the middle of Mount"), "the crash is told")
    swarm.until(lambda: told("that is the whole host"), "the lie is told")
    plugin.order()
    swarm.until_runs("stuck", 1)


def test_docker_uses_the_volumes_of_a_host(swarm: Swarm) -> None:
    pid = swarm.host("m1").pid()
    client = PluginDriver(
        Connection("swarm-local", Folders(Path(f"/proc/{pid}/root{PLUGINS}"), ()))
    )
    place = Place("container1", Path("/nowhere"), None)  # type: ignore[arg-type] # it keeps itself
    shared = Volume("shared")

    mount = "type=volume,source=shared,target=/data"
    swarm.create("web", "--mount", mount, TOOLS, "sh", "-c", WRITE)
    assert [known.name for known in asyncio.run(client.list())] == ["shared"]
    path = asyncio.run(client.mount(shared, place)).path
    swarm.until((path / "log").exists, "Docker's container sees what ours wrote")
    swarm.kill_daemon("m1")
    swarm.start_daemon("m1")
    swarm.clear()
    with pytest.raises(SwarmError, match="in use"):
        asyncio.run(client.remove(shared))
    asyncio.run(client.unmount(shared, place))

    def removed() -> bool:
        try:
            asyncio.run(client.remove(shared))
        except SwarmError as error:
            if "in use" in str(error):
                return False
            raise
        return True

    swarm.until(removed, "the task has let go of it, too")
    assert asyncio.run(client.list()) == []
