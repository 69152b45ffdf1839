"""The volumes of a host: mounted once for all, gone with the last, and right after every crash."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from hostkit import cgroup, mount
from hostkit.clock import boot
from runtime.volume.driver import Volume
from runtime.volume.guardians import Guardians
from runtime.volume.host import VolumeHost
from runtime.volume.records import Records
from runtime.volume.subpaths import Subpaths
from runtime.volume.wants import Lease, OwnVolume, Want
from tests.support.plain_mount import VolumeBox
from tests.support.until import until, until_true

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[4]
OWN = Want("own/data", "local", Volume("data"))


def leased(name: str = "data", seconds: float = 60.0) -> Want:
    return Want(f"swarm/{name}.1", "plain", Volume(name), Lease(boot() + seconds, 1.0))


@pytest.fixture
def box(tmp_path: Path) -> Iterator[VolumeBox]:
    made = VolumeBox(tmp_path)
    try:
        yield made
    finally:
        made.clear()


def run(box: VolumeBox, scenario: Callable[[VolumeHost], Awaitable[Any]], *alive: str) -> Any:
    async def whole() -> Any:
        async with box.recovered(*alive) as host:
            return await scenario(host)

    return asyncio.run(whole())


def test_a_volume_is_mounted_once_and_gone_with_its_last_user(box: VolumeBox) -> None:
    async def scenario(host: VolumeHost) -> None:
        paths = await asyncio.gather(*(host.use(each, leased()) for each in ("c1", "c2")))
        assert len(set(paths)) == 1
        assert box.mounts() == [paths[0]]
        (paths[0] / "file").write_text("x")
        await host.leave("c1")
        assert (box.storage / "data/file").read_text() == "x"
        assert box.mounts() == [paths[0]]
        await host.leave("c2")
        await host.leave("c2")
        await host.released(leased().key)
        assert box.mounts() == []
        assert host.mounted_keys() == []

    run(box, scenario)
    assert box.guardians() == set()


def test_what_cannot_be_mounted_says_why_and_leaves_nothing(box: VolumeBox) -> None:
    async def scenario(host: VolumeHost) -> None:
        for name, why in (("missing", "false has ended: exit status 1"), ("slow", "no answer")):
            with pytest.raises(SwarmError) as refused:
                await host.use("c1", leased(name))
            assert refused.value.code is Code.UNAVAILABLE
            assert why in str(refused.value)
        with pytest.raises(SwarmError, match="no driver of volumes 'other'"):
            await host.use("c1", replace(leased("third"), driver="other"))
        await until(lambda: host.mounted_keys() == [])

    run(box, scenario)
    assert (box.mounts(), box.guardians()) == ([], set())


def test_what_is_taken_back_meanwhile_is_not_mounted(box: VolumeBox) -> None:
    async def scenario(host: VolumeHost) -> None:
        with pytest.raises(SwarmError, match="was taken back"):
            await host.use("c1", leased(), lambda: False)
        await host.released(leased().key)

    run(box, scenario)


def test_who_gives_up_in_the_middle_is_in_nobody_s_way(box: VolumeBox) -> None:
    async def scenario(host: VolumeHost) -> None:
        for turn in range(12):
            want = leased(f"data{turn}")
            using = asyncio.create_task(host.use("c1", want))
            await asyncio.sleep(0.003 * turn)
            using.cancel()
            await asyncio.wait({using})
            await host.leave("c1")
            await host.use("c2", want)
            await host.leave("c2")
            assert host.mounted_keys() == []

    run(box, scenario)
    assert (box.mounts(), box.guardians()) == ([], set())
    assert list((box.root / "v/g").iterdir()) == []


def test_a_lost_mount_ends_its_containers_and_says_why(box: VolumeBox) -> None:
    async def scenario(host: VolumeHost) -> None:
        path = await host.use("c1", leased())
        container = _container(box)
        (guardian,) = box.guardians()
        os.kill(guardian, signal.SIGKILL)
        code = await asyncio.to_thread(container.wait, 20)
        assert code == -signal.SIGKILL
        await until(lambda: bool(host.why("c1")) and not box.mounts())
        await until(lambda: not path.exists())
        assert host.why("c1").startswith("volume data was let go: its guardian was killed")
        with pytest.raises(SwarmError, match="is not free yet") as refused:
            await host.use("c2", leased())
        assert refused.value.code is Code.EXHAUSTED
        await host.leave("c1")
        await host.use("c2", leased())
        await host.leave("c2")
        await host.forget("c1")
        assert host.why("c1") == ""

    run(box, scenario)


def test_the_next_daemon_goes_on_with_what_runs_and_unmounts_the_rest(box: VolumeBox) -> None:
    async def first(host: VolumeHost) -> None:
        for container, name in (("c1", "one"), ("c2", "two")):
            await host.use(container, leased(name))

    async def second(host: VolumeHost) -> None:
        await until(lambda: host.mounted_keys() == [leased("one").key])
        assert len(box.mounts()) == 1
        host.renew(leased("one").key, boot() + 100)
        await host.leave("c1")
        assert host.mounted_keys() == []

    run(box, first)
    assert len(box.guardians()) == 2
    run(box, second, "c1")
    assert (box.mounts(), box.guardians()) == ([], set())


def test_the_next_daemon_starts_though_what_it_finds_cannot_be_noted(
    box: VolumeBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def first(host: VolumeHost) -> None:
        for container, name in (("c1", "one"), ("c2", "two")):
            await host.use(container, leased(name))

    def full(*_: object) -> None:
        raise SwarmError(Code.UNAVAILABLE, "the disk is full")

    async def second(host: VolumeHost) -> None:
        await until(lambda: host.mounted_keys() == [leased("one").key])
        assert host.users(leased("one").key) == ("c1",)
        await host.leave("c1")
        assert host.mounted_keys() == []

    run(box, first)
    monkeypatch.setattr(Records, "keep_mount", full)
    run(box, second, "c1")
    assert (box.mounts(), box.guardians()) == ([], set())


def test_what_was_lost_while_no_daemon_was_there_is_known_to_the_next(box: VolumeBox) -> None:
    async def first(host: VolumeHost) -> None:
        await host.use("c2", leased("other"))  # the start of a Python is no part of the lease
        await host.leave("c2")
        want = leased(seconds=4.0)
        using = asyncio.create_task(host.use("c1", want))
        while not using.done():  # nor is the making of the mount
            host.renew(want.key, boot() + 4.0)
            await asyncio.sleep(0.1)
        await using

    async def second(host: VolumeHost) -> None:
        assert "its lease ran out" in host.why("c1")
        await host.leave("c1")

    run(box, first)
    until_true(lambda: not box.guardians(), "the lease is over")
    run(box, second, "c1")


def test_volumes_of_the_host_stay_and_anonymous_ones_go_with_their_container(
    box: VolumeBox,
) -> None:
    async def scenario(host: VolumeHost) -> None:
        named = await host.own.named(OwnVolume("data", "", {}, {"a": "b"}))
        anonymous = await host.own.named(OwnVolume("c1.0", "", owner="c1"))
        for each in (named, anonymous):
            path = await host.use("c1", Want(f"own/{each.name}", each.driver, each.volume))
            (path / "file").write_text(each.name)
        again = await host.own.named(OwnVolume("data", "", {"type": "tmpfs"}))
        assert (again.driver, again.options, again.labels) == ("local", {}, {"a": "b"})
        with pytest.raises(SwarmError, match="of driver local"):
            await host.own.named(OwnVolume("data", "plain"))
        await host.leave("c1")
        await host.forget("c1")

    async def later(host: VolumeHost) -> None:
        assert [each.name for each in host.own.every()] == ["data"]
        assert (await host.use("c2", OWN) / "file").read_text() == "data"
        await host.leave("c2")
        await host.own.drop("data")
        with pytest.raises(SwarmError, match="no volume 'data'"):
            await host.own.drop("data")

    run(box, scenario)
    assert sorted(each.name for each in (box.root / "volumes").iterdir()) == ["data"]
    run(box, later)
    assert list((box.root / "volumes").iterdir()) == []


def test_two_hundred_leased_volumes_are_taken_renewed_and_given_back(box: VolumeBox) -> None:
    async def scenario(host: VolumeHost) -> None:
        wants = [
            Want(f"swarm/v{number}.1", "local", Volume(f"v{number}"), Lease(boot() + 100, 10.0))
            for number in range(200)
        ]
        await asyncio.gather(*(host.use("c1", want) for want in wants))
        assert len(box.guardians()) == 200
        for want in wants:
            host.renew(want.key, boot() + 200)
        await host.leave("c1")
        await asyncio.gather(*(host.released(want.key) for want in wants))

    run(box, scenario)
    assert box.guardians() == set()


def test_a_subpath_leads_nobody_out_of_its_volume(box: VolumeBox) -> None:
    async def scenario(host: VolumeHost) -> None:
        path = await host.use("c1", leased())
        (path / "sub").mkdir()
        (path / "sub/file").write_text("x")
        (path / "out").symlink_to("/etc")
        (path / "in").symlink_to("/sub")
        assert (await host.subpath("c1", path, "sub") / "file").read_text() == "x"
        assert (await host.subpath("c1", path, "in/file")).read_text() == "x"
        for below in ("out/passwd", "nowhere", "../../etc"):
            with pytest.raises(SwarmError, match="is not in the volume"):
                await host.subpath("c1", path, below)
        await host.leave("c1")

    run(box, scenario)
    assert box.mounts() == []


def test_folders_behind_a_link_are_as_any_others(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    box = VolumeBox(tmp_path / "link/swarm")

    async def scenario(host: VolumeHost) -> None:
        path = await host.use("c1", leased())
        (path / "sub").mkdir()
        (path / "sub/file").write_text("x")
        await host.subpath("c1", path, "sub")
        await host.leave("c1")
        assert host.mounted_keys() == []

    try:
        run(box, scenario)
        assert box.mounts() == []
        assert (box.storage / "data/sub/file").read_text() == "x"
    finally:
        box.clear()


def test_what_is_mounted_unknown_to_all_is_not_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    (data / "sub/file").write_text("x")
    subpaths, guardians = Subpaths(tmp_path / "p"), Guardians(tmp_path / "g", "/unused")
    target = guardians.folder("m1") / "data"
    target.mkdir(parents=True)
    mount.mount(str(data), target, "none", mount.MS_BIND)
    place = asyncio.run(subpaths.take("c1", data, "sub"))
    try:
        with monkeypatch.context() as patched:
            patched.setattr(mount, "mount_points", lambda _: [])
            asyncio.run(subpaths.drop("c1"))
            guardians.forget("m1")
        assert (place / "file").read_text() == (target / "sub/file").read_text() == "x"
        asyncio.run(subpaths.drop("c1"))
        assert mount.unmount(target)
        guardians.forget("m1")
        assert not place.parent.exists()
        assert not target.parent.exists()
    finally:
        for point in mount.mount_points(tmp_path):
            mount.unmount(point)
    assert (data / "sub/file").read_text() == "x"


@pytest.mark.timeout(400)
def test_after_a_crash_at_any_effect_nothing_is_left(box: VolumeBox) -> None:
    effect, said = 0, ""
    while not said.splitlines()[-1:] or not said.splitlines()[-1].isdecimal():
        effect += 1
        argv = [sys.executable, "-m", "tests.support.crashing_daemon"]
        daemon = subprocess.run(
            [*argv, str(box.root), box.group, str(effect)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert daemon.returncode in (0, -signal.SIGKILL), daemon.stderr
        said = daemon.stdout
        run(box, _nothing_is_left(box))
        assert (box.mounts(), box.guardians()) == ([], set()), f"after effect {effect}"
    assert effect == int(said.splitlines()[-1]) + 1


def _container(box: VolumeBox) -> "subprocess.Popen[bytes]":
    """A process in the control group of a container, c1."""
    process = subprocess.Popen(["sleep", "600"])
    cgroup.join(cgroup.make(cgroup.detect(), box.cgroup_of("c1")), process.pid)
    return process


def _nothing_is_left(box: VolumeBox) -> Callable[[VolumeHost], Awaitable[None]]:
    async def scenario(host: VolumeHost) -> None:
        await until(lambda: host.mounted_keys() == [])
        records = Records(box.root / "volumes.db")
        assert records.mounts() == []
        records.close()

    return scenario
