"""Volumes of a CSI driver: made once, opened to one node, taken from a node that is lost."""

import json
from collections.abc import Iterator

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm
from tests.support.csi_process import NAME, CsiProcess

pytestmark = pytest.mark.cluster

WORKERS = ("w1", "w2")
WRITE = f"echo $HOSTNAME >> /data/log; {OBEDIENT}"
FLAGS = ("--hostname", "{{.Node.Hostname}}", "--constraint", "node.role==worker")


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), heartbeat=2) as made:
        yield made


@pytest.fixture(scope="module")
def drivers(swarm: Swarm) -> Iterator[dict[str, CsiProcess]]:
    """One on each worker, over one storage."""
    made = {}
    for worker in WORKERS:
        host = swarm.host(worker)
        socket = host.paths.run / "csi" / f"{NAME}.sock"
        folder = host.paths.directory.parent / "csi"
        made[worker] = CsiProcess(socket, folder, host.entering, f"csi-{worker}")
        made[worker].start()
    yield made
    for driver in made.values():
        driver.kill()


@pytest.fixture
def csi(swarm: Swarm, drivers: dict[str, CsiProcess]) -> Iterator[CsiProcess]:
    """The storage; a volume `data` of it is made."""
    drivers["w1"].order()
    swarm.ctl("volume", "create", "-d", NAME, "--required-bytes", "1048576", "data")
    yield drivers["w1"]
    swarm.mend()
    for driver in drivers.values():
        driver.start()
    drivers["w1"].order()
    swarm.clear()
    swarm.until(lambda: swarm.ctl("volume", "rm", "data", code=None).code == 0, "it is removed")
    swarm.until(lambda: swarm.ctl("volume", "ls", "-q").lines == [], "the driver has deleted it")


def handle(csi: CsiProcess) -> str:
    """What the driver calls the volume."""
    (found,) = (path.name for path in (csi.folder / "storage").iterdir())
    return found


def log(csi: CsiProcess) -> list[str]:
    """What tasks wrote into the volume, as the storage has it."""
    path = csi.folder / "storage" / handle(csi) / "log"
    return path.read_text().split() if path.exists() else []


def test_a_volume_follows_its_task(swarm: Swarm, csi: CsiProcess) -> None:
    mount = "type=volume,source=data,target=/data"
    swarm.create("db", *FLAGS, "--mount", mount, TOOLS, "sh", "-c", WRITE)
    (first,) = swarm.on("db")
    swarm.until(lambda: log(csi) == [first.host], "the task has written")
    assert csi.open_to(handle(csi)) == [f"csi-{first.host}"]
    ((_, asked), *_) = csi.asked("CreateVolume")
    assert asked["capacityRange"] == {"requiredBytes": "1048576"}

    swarm.ctl("node", "update", "--availability", "drain", first.host)
    swarm.until(lambda: len(log(csi)) == 2, "the task has moved")
    (second,) = swarm.on("db")
    assert log(csi) == [first.host, second.host]
    assert csi.open_to(handle(csi)) == [f"csi-{second.host}"]
    calls = csi.calls()
    back = calls.index("NodeUnpublishVolume")
    assert list(dict.fromkeys(calls[back:])) == [  # an order to a driver may come twice
        "NodeUnpublishVolume",
        "NodeUnstageVolume",
        "ControllerUnpublishVolume",
        "ControllerPublishVolume",
        "NodeStageVolume",
        "NodePublishVolume",
    ]
    swarm.ctl("node", "update", "--availability", "active", first.host)


def test_a_lost_node_is_shut_out_at_the_storage(swarm: Swarm, csi: CsiProcess) -> None:
    mount = "type=volume,source=data,target=/data"
    swarm.create("db", *FLAGS, "--mount", mount, TOOLS, "sh", "-c", WRITE)
    (first,) = swarm.on("db")
    swarm.until(lambda: log(csi) == [first.host], "the task has written")
    swarm.lab("kill", first.host)
    swarm.until(lambda: len(log(csi)) == 2, "the task runs elsewhere", timeout=60)
    assert csi.open_to(handle(csi)) == [f"csi-{log(csi)[1]}"]
    fenced = {asked["nodeId"] for _, asked in csi.asked("ControllerUnpublishVolume")}
    assert fenced == {f"csi-{first.host}"}


def test_a_mount_that_fails_is_told_and_tried_anew(swarm: Swarm, csi: CsiProcess) -> None:
    csi.order({"NodePublishVolume": {"pretend": True}})
    mount = "type=volume,source=data,target=/data"
    flags = ("--detach", "--name", "db", "--restart-delay", "1s", "--mount", mount, *FLAGS)
    swarm.ctl("service", "create", *flags, TOOLS, "sh", "-c", WRITE)

    def told() -> bool:
        return any("nothing is mounted at" in task.error for task in swarm.tasks("db"))

    swarm.until(told, "the lie is told")
    assert log(csi) == [], "nobody wrote into the folder below"
    csi.order()
    swarm.until_runs("db", 1)
    (listed,) = swarm.ctl("volume", "ls", "--format", "json").lines
    assert json.loads(listed)["Driver"] == NAME


def test_a_block_device_is_there_in_its_task(swarm: Swarm, drivers: dict[str, CsiProcess]) -> None:
    drivers["w1"].order()
    swarm.ctl("volume", "create", "-d", NAME, "--type", "block", "disk")
    mount = "type=cluster,source=disk,target=/dev/disk,readonly"
    script = "[ -b /dev/disk ] && echo device; exec sleep 1000"
    swarm.create("db", *FLAGS, "--mount", mount, TOOLS, "sh", "-c", script)
    swarm.until(lambda: swarm.logs("db") == ["device"], "it says so")
    swarm.clear()
    swarm.until(lambda: swarm.ctl("volume", "rm", "disk", code=None).code == 0, "it is removed")
    swarm.until(lambda: swarm.ctl("volume", "ls", "-q").lines == [], "the driver has deleted it")
