"""The node's part, with a real CSI driver in a process of its own, which mounts really."""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from hostkit import mount
from runtime.volume.controller import NewVolume
from runtime.volume.csi.driver import CsiDriver
from runtime.volume.csi.endpoint import Endpoint, Timeouts
from runtime.volume.csi.source import CsiSource
from runtime.volume.driver import Access, Capabilities, Known, Place, Scope, Volume
from tests.support.csi_process import NAME, CsiProcess
from tests.support.silent_mount import silent_mount

pytestmark = pytest.mark.root
HASTY = Timeouts(question=30.0, controller=30.0, node=0.5)
NAMES = (f"v{number}" for number in count())


class NoKeeper:
    """The kernel serves these mounts."""

    async def serve(self, *_: object) -> int:
        raise AssertionError("nothing is to be kept")


class Node:
    """A host that has the driver, with a volume that is open to it."""

    def __init__(self, csi: CsiProcess, folder: Path) -> None:
        self.csi = csi
        self.state = folder / "state"
        self.target = folder / "g" / "data"
        self.place = Place("m1", self.target, NoKeeper())
        self.driver = CsiDriver(Endpoint(NAME, csi.socket), self.state)

    def hasty(self) -> CsiDriver:
        return CsiDriver(Endpoint(NAME, self.csi.socket, HASTY), self.state)

    def volume(self, **how: Any) -> Volume:
        """One that was made and opened to this node."""
        return asyncio.run(self._volume(how))

    async def _volume(self, how: dict[str, Any]) -> Volume:
        new = NewVolume(next(NAMES), block=how.get("block", False))
        made = await self.driver.controller.create(new)
        volume = Volume(new.name, handle=made.handle, context=made.context, **how)
        opened = await self.driver.controller.publish(volume, "node-1")
        return replace(volume, publish_context=opened)

    def mount(self, volume: Volume) -> None:
        """As the host does it: the target is an empty folder."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        if not volume.block:
            self.target.mkdir(exist_ok=True)
        mounted = asyncio.run(self.driver.mount(volume, self.place))
        assert mounted.path == self.target

    def unmount(self, volume: Volume) -> None:
        asyncio.run(self.driver.unmount(volume, self.place))

    def points(self) -> list[Path]:
        return mount.mount_points(self.state.parent)


@pytest.fixture
def node(csi: CsiProcess, tmp_path: Path) -> Iterator[Node]:
    made = Node(csi, tmp_path)
    yield made
    for point in made.points():
        mount.unmount(point)


def failure(call: Coroutine[Any, Any, object]) -> SwarmError:
    with pytest.raises(SwarmError) as caught:
        asyncio.run(call)
    assert NAME in caught.value.what
    assert caught.value.why
    return caught.value


def test_a_volume_is_staged_and_published_and_back(node: Node) -> None:
    volume = node.volume()
    node.csi.order()
    node.mount(volume)
    (node.target / "file").write_text("kept")
    assert asyncio.run(node.driver.list()) == [Known(volume.name)]
    assert asyncio.run(node.driver.get(volume.name)) == Known(volume.name)
    node.unmount(volume)
    assert node.csi.calls() == [
        "NodeStageVolume",
        "NodePublishVolume",
        "NodeUnpublishVolume",
        "NodeUnstageVolume",
    ]
    assert node.points() == []
    assert list(node.state.iterdir()) == []
    assert not node.target.exists()
    node.mount(volume)
    assert (node.target / "file").read_text() == "kept"


def test_a_driver_that_stages_nothing_is_not_asked_to(node: Node) -> None:
    node.csi.order(without=("STAGE_UNSTAGE_VOLUME",))
    volume = node.volume()
    node.mount(volume)
    node.unmount(volume)
    calls = [call for call in node.csi.calls() if call.startswith("Node")]
    assert calls == ["NodePublishVolume", "NodeUnpublishVolume"]


def test_each_call_may_come_again(node: Node) -> None:
    volume = node.volume()
    for _ in range(2):
        node.mount(volume)
    assert len(node.points()) == 2
    for _ in range(2):
        node.unmount(volume)
    assert node.points() == []


def test_a_block_volume_is_a_device(node: Node) -> None:
    volume = node.volume(block=True)
    node.mount(volume)
    assert node.target.is_block_device()
    node.unmount(volume)
    assert not node.target.exists()


@pytest.mark.parametrize(
    ("access", "also", "mode"),
    [
        (Access.SINGLE_WRITER, (), "SINGLE_NODE_WRITER"),
        (Access.SINGLE_WRITER, ("SINGLE_NODE_MULTI_WRITER",), "SINGLE_NODE_MULTI_WRITER"),
        (Access.MANY_READERS, (), "MULTI_NODE_READER_ONLY"),
        (Access.MANY_WRITERS, ("SINGLE_NODE_MULTI_WRITER",), "MULTI_NODE_MULTI_WRITER"),
    ],
)
def test_the_access_is_said_in_words_of_csi(
    node: Node, access: Access, also: tuple[str, ...], mode: str
) -> None:
    node.csi.order(also=also)
    options = {"csi.fs-type": "ext4", "csi.mount-flags": "noatime,discard", "tier": "fast"}
    volume = node.volume(access=access, options=options, secrets={"user": b"swarm"})
    node.mount(replace(volume, read_only=True))
    for call in ("NodeStageVolume", "NodePublishVolume"):
        ((_, asked),) = node.csi.asked(call)
        assert asked["volumeCapability"] == {
            "mount": {"fsType": "ext4", "mountFlags": ["noatime", "discard"]},
            "accessMode": {"mode": mode},
        }
        assert asked["secrets"] == {"user": "swarm"}
        assert asked["publishContext"] == {"opened-to": "node-1"}
        assert asked["volumeContext"] == {"made-by": "test"}
    assert asked["readonly"]


def test_where_the_node_is_comes_from_the_driver(node: Node) -> None:
    expected = Capabilities(
        Scope.GLOBAL, True, True, True, True, segments={"zone": "a"}, host_id="node-1"
    )
    assert asyncio.run(node.driver.capabilities()) == expected
    node.csi.order(without=("PUBLISH_UNPUBLISH_VOLUME",))
    can = asyncio.run(node.driver.capabilities())
    assert (can.creates, can.opens, can.fences) == (True, False, False)
    node.csi.order({"ControllerGetCapabilities": {"code": "UNIMPLEMENTED"}})
    can = asyncio.run(node.driver.capabilities())
    assert (can.creates, can.opens, can.fences) == (False, False, False)


@pytest.mark.parametrize(
    ("orders", "code", "why"),
    [
        ({"GetPluginInfo": {"answer": {"name": "other"}}}, Code.UNAVAILABLE, "calls itself other"),
        ({"GetPluginInfo": {"pretend": True}}, Code.UNAVAILABLE, "calls itself nothing"),
        ({"Probe": {"answer": {"ready": False}}}, Code.UNAVAILABLE, "still starting"),
        ({"Probe": {"code": "FAILED_PRECONDITION"}}, Code.UNAVAILABLE, "Probe"),
        ({"NodeGetInfo": {"pretend": True}}, Code.UNAVAILABLE, "tells no node_id"),
        ({"NodeGetInfo": {"code": "UNIMPLEMENTED"}}, Code.UNSUPPORTED, "NodeGetInfo"),
        (
            {"NodeGetInfo": {"answer": {"nodeId": "x" * 2000}}},
            Code.UNAVAILABLE,
            "node_id is too long",
        ),
        ({"GetPluginInfo": {"crash": True}}, Code.UNAVAILABLE, "GetPluginInfo"),
    ],
)
def test_a_driver_that_is_not_what_it_ought_to_be_is_named(
    node: Node, orders: dict[str, Any], code: Code, why: str
) -> None:
    node.csi.order(orders)
    error = failure(node.driver.capabilities())
    assert error.code is code
    assert why in error.why
    assert error.remedy


@pytest.mark.parametrize(
    ("call", "status", "code"),
    [
        ("NodeStageVolume", "NOT_FOUND", Code.NOT_FOUND),
        ("NodeStageVolume", "INVALID_ARGUMENT", Code.INVALID),
        ("NodeStageVolume", "ALREADY_EXISTS", Code.REFUSED),
        ("NodeStageVolume", "FAILED_PRECONDITION", Code.REFUSED),
        ("NodePublishVolume", "UNAUTHENTICATED", Code.DENIED),
        ("NodePublishVolume", "RESOURCE_EXHAUSTED", Code.EXHAUSTED),
        ("NodePublishVolume", "INTERNAL", Code.UNAVAILABLE),
        ("NodePublishVolume", "DATA_LOSS", Code.UNAVAILABLE),
        ("NodePublishVolume", "DEADLINE_EXCEEDED", Code.DEADLINE),
    ],
)
def test_a_failed_mount_is_named_and_taken_back(
    node: Node, call: str, status: str, code: Code
) -> None:
    volume = node.volume()
    node.csi.order({call: {"code": status, "why": "disk on fire"}})
    error = failure(node.driver.mount(volume, node.place))
    assert error.code is code
    assert f"{call}: " in error.why
    assert error.remedy
    assert node.points() == []
    assert node.csi.calls()[-2:] == ["NodeUnpublishVolume", "NodeUnstageVolume"]


def test_secrets_are_in_no_error(node: Node) -> None:
    volume = replace(node.volume(), secrets={"password": b"\xff"})
    error = failure_of_secrets(node, volume)
    assert error.code is Code.INVALID
    assert "password" not in str(error)


def failure_of_secrets(node: Node, volume: Volume) -> SwarmError:
    with pytest.raises(SwarmError) as caught:
        asyncio.run(node.driver.mount(volume, node.place))
    return caught.value


@pytest.mark.parametrize("call", ["NodeStageVolume", "NodePublishVolume", "NodeUnpublishVolume"])
def test_a_driver_that_is_busy_is_asked_again(node: Node, call: str) -> None:
    volume = node.volume()
    node.csi.order({call: {"code": "ABORTED", "times": 1}})
    node.mount(volume)
    node.unmount(volume)
    assert node.csi.calls().count(call) == 2


def test_a_driver_that_is_busy_for_too_long_is_told_to_the_caller(node: Node) -> None:
    volume = node.volume()
    node.csi.order({"NodeStageVolume": {"code": "ABORTED"}})
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    endpoint = Endpoint(NAME, node.csi.socket, clock=lambda: sum(slept), sleep=sleep)
    error = failure(CsiDriver(endpoint, node.state).mount(volume, node.place))
    assert error.code is Code.UNAVAILABLE
    assert "try again later" in error.remedy


@pytest.mark.parametrize("call", ["NodeStageVolume", "NodePublishVolume", "NodeUnstageVolume"])
def test_a_driver_that_hangs_is_given_up(node: Node, call: str) -> None:
    volume = node.volume()
    node.mount(volume)
    node.csi.order({call: {"hang": True}})
    if call == "NodeUnstageVolume":
        error = failure(node.hasty().unmount(volume, node.place))
    else:
        error = failure(node.hasty().mount(volume, node.place))
    assert error.code is Code.DEADLINE
    assert "not done after 0.5 s" in error.why


def test_a_mount_that_is_only_said_to_be_there_is_refused(node: Node) -> None:
    volume = node.volume()
    node.csi.order({"NodePublishVolume": {"pretend": True}})
    assert "nothing is mounted" in failure(node.driver.mount(volume, node.place)).why
    assert node.points() == []


def test_an_unmount_that_is_only_said_to_be_done_is_refused(node: Node) -> None:
    volume = node.volume()
    node.mount(volume)
    for call in ("NodeUnpublishVolume", "NodeUnstageVolume"):
        node.csi.order({call: {"pretend": True}})
        assert "still mounted" in failure(node.driver.unmount(volume, node.place)).why
    node.csi.order()
    node.unmount(volume)


def test_of_a_volume_that_was_deleted_only_a_mount_that_stays_is_to_be_undone(node: Node) -> None:
    volume = node.volume()
    node.mount(volume)
    gone = {"code": "NOT_FOUND"}
    node.csi.order({"NodeUnpublishVolume": gone, "NodeUnstageVolume": gone})
    assert "still mounted" in failure(node.driver.unmount(volume, node.place)).why
    for point in node.points():
        mount.unmount(point)
    node.unmount(volume)
    assert list(node.state.iterdir()) == []


def test_a_storage_that_hangs_holds_up_no_thread(node: Node) -> None:
    volume = node.volume()
    staging = node.state / volume.name / "staging"
    staging.mkdir(parents=True)
    node.csi.order(
        {"NodeStageVolume": {"code": "INTERNAL"}, "NodeUnstageVolume": {"pretend": True}}
    )
    with silent_mount(staging):
        failure(node.driver.mount(volume, node.place))
        assert asyncio.run(node.driver.get(volume.name)) == Known(volume.name)


def test_a_volume_that_is_not_open_to_the_node_is_refused(node: Node) -> None:
    volume = replace(node.volume(), publish_context={})
    assert failure(node.driver.mount(volume, node.place)).code is Code.REFUSED


@pytest.mark.parametrize("call", ["NodeStageVolume", "NodePublishVolume"])
@pytest.mark.parametrize("late", [False, True])
def test_after_a_crash_the_same_mount_is_taken_up(node: Node, call: str, late: bool) -> None:
    volume = node.volume()
    node.csi.order({call: {"crash": True, "late": late}})
    assert failure(node.driver.mount(volume, node.place)).code is Code.UNAVAILABLE
    node.csi.order()
    node.csi.start()
    node.mount(volume)
    assert len(node.points()) == 2
    node.unmount(volume)
    assert node.points() == []


@pytest.mark.parametrize("call", ["NodeUnpublishVolume", "NodeUnstageVolume"])
@pytest.mark.parametrize("late", [False, True])
def test_after_a_crash_the_same_unmount_is_taken_up(node: Node, call: str, late: bool) -> None:
    volume = node.volume()
    node.mount(volume)
    node.csi.order({call: {"crash": True, "late": late}})
    assert failure(node.driver.unmount(volume, node.place)).code is Code.UNAVAILABLE
    node.csi.order()
    node.csi.start()
    node.unmount(volume)
    assert node.points() == []
    assert list(node.state.iterdir()) == []


def test_what_the_guardian_unmounted_is_unmounted_without_complaint(node: Node) -> None:
    volume = node.volume()
    node.mount(volume)
    mount.unmount(node.target)
    node.unmount(volume)
    assert node.points() == []


def test_only_managers_make_volumes(node: Node) -> None:
    error = failure(node.driver.create(Volume("own")))
    assert error.code is Code.UNSUPPORTED
    assert "swarmctl volume create" in error.remedy


def test_what_is_in_use_is_not_removed(node: Node) -> None:
    volume = node.volume()
    node.mount(volume)
    with pytest.raises(SwarmError) as caught:
        asyncio.run(node.driver.remove(volume))
    assert caught.value.code is Code.REFUSED
    node.unmount(volume)
    asyncio.run(node.driver.remove(volume))
    with pytest.raises(SwarmError) as caught:
        asyncio.run(node.driver.get(volume.name))
    assert caught.value.code is Code.NOT_FOUND


def test_drivers_are_found_by_their_sockets(csi: CsiProcess, tmp_path: Path) -> None:
    async def look() -> None:
        source = CsiSource(csi.socket.parent, tmp_path)
        (csi.socket.parent / "readme.txt").touch()
        assert [driver.name for driver in await source.every()] == [NAME]
        assert (await source.get(NAME)).name == NAME
        for name in ("absent", "../csi.test", ""):
            assert await source.find(name) is None
            with pytest.raises(SwarmError):
                await source.get(name)
        assert list(await CsiSource(tmp_path / "no", tmp_path).every()) == []

    asyncio.run(look())
