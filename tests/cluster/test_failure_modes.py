"""What may befall a manager's disk: it stops and says why, the others go on, nothing that was
acknowledged is missing, and the way out of docs/how-to/when-a-manager-does-not-start.md works.
"""

import asyncio
import errno
import os
import re
import shutil
from collections.abc import Iterator

import pytest

from machine.drivers.lab.driver import LabDriver
from machine.drivers.lab.host import LabHost
from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm
from tests.support.lab_faults import DISK_FAILS, DISK_FULL, Deed, Fault, is_whole, leader_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

MANAGERS = ["m1", "m2", "m3"]
DISK = 128
LARGE = "x=" + "x" * 20_000
"""A label that needs blocks of its own on the disk."""


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    config = tmp_path_factory.mktemp("config")
    with a_swarm(config, managers=3, workers=0, heartbeat=2, disk=DISK) as made:
        yield made


@pytest.fixture(autouse=True)
def _begins_whole(swarm: Swarm) -> None:
    """And every node takes tasks, as if nothing had happened to it."""
    _until_whole(swarm)
    for host in MANAGERS:
        swarm.until_node(host, "Ready")


def _until_whole(swarm: Swarm) -> None:
    lab = LabDriver.open(swarm.name)
    swarm.until(lambda: asyncio.run(is_whole(lab, MANAGERS)), "three managers agree", timeout=60)


def _one(swarm: Swarm, which: str) -> str:
    """The leader, or a follower."""
    lab = LabDriver.open(swarm.name)
    leader = swarm.until(lambda: asyncio.run(leader_of(lab, MANAGERS)), "a manager says it leads")
    return leader if which == "leader" else next(host for host in MANAGERS if host != leader)


def _make(swarm: Swarm, name: str, at: str) -> None:
    """A service that runs nowhere, and is acknowledged."""
    flags = ("--detach", "--name", name, "--replicas", "0", "--label", LARGE)
    swarm.ctl("service", "create", *flags, TOOLS, at=at)


def _made(swarm: Swarm, at: str) -> set[str]:
    return set(swarm.ctl("service", "ls", "--format", "{{.Name}}", at=at).lines)


def _do(deed: Deed, host: LabHost) -> None:
    async def do() -> None:
        await deed(host)

    asyncio.run(do())


def _last_words(swarm: Swarm, host: str) -> str:
    """What the daemon said when it ended, which it must have done by itself."""
    swarm.until(
        lambda: swarm.lab("daemon", host, "status").out.startswith("down (1)"), f"{host} stops"
    )
    return swarm.host(host).paths.daemon_log.read_text().splitlines()[-1]


@pytest.mark.parametrize("which", ["follower", "leader"])
@pytest.mark.parametrize(
    ("fault", "numbers"),
    [(DISK_FULL, [errno.ENOSPC]), (DISK_FAILS, [errno.EROFS, errno.EIO])],
    ids=["full", "ro"],
)
def test_a_disk_that_takes_no_writes_stops_its_manager_and_no_other(
    swarm: Swarm, fault: Fault, numbers: list[int], which: str
) -> None:
    victim = _one(swarm, which)
    other = next(host for host in MANAGERS if host != victim)
    causes = [re.escape(f"[Errno {number}] {os.strerror(number)}") for number in numbers]
    cause = f"({'|'.join(causes)})"
    _make(swarm, "before", other)
    host = swarm.host(victim)
    _do(fault.strike, host)

    _make(swarm, "meanwhile", other)
    words = _last_words(swarm, victim)
    of_write = rf"this manager cannot write its log any more: {cause}\. Look after the disk, then "
    assert re.fullmatch(rf"swarmd: {of_write}restart swarmd", words), words
    swarm.lab("daemon", victim, "start")
    again = _last_words(swarm, victim)
    # Whatever it is that the daemon opens first on that disk.
    of_log = rf"the log cannot be opened: {cause}(: '\d+\.wal')?\. Look after the disk and "
    of_log += "its free space, then start swarmd again"
    of_file = rf"swarmd cannot go on: .*{cause}.*\. Look after that file or the disk, .*"
    assert re.fullmatch(rf"swarmd: ({of_log}|{of_file})", again), again
    _make(swarm, "after", other)

    _do(fault.mend, host)
    _until_whole(swarm)
    for each in MANAGERS:
        assert _made(swarm, each) == {"before", "meanwhile", "after"}


def test_a_second_daemon_on_the_folder_of_a_manager_is_refused(swarm: Swarm) -> None:
    _make(swarm, "before", "m1")
    paths = swarm.host("m1").paths
    other = str(paths.state / "elsewhere")
    argv = ("swarmd", "--state-dir", str(paths.state), "--run-dir", other)
    assert swarm.inside("m1", *argv, code=1).err == (
        f"swarmd: cannot use the folder {paths.state}: another swarmd uses it. Stop that one, or "
        "give this one its own --state-dir and --run-dir\n"
    )
    _make(swarm, "after", "m1")
    assert _made(swarm, "m1") == {"before", "after"}


def test_a_manager_with_a_damaged_log_is_replaced_though_its_containers_run(swarm: Swarm) -> None:
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT, replicas=3)
    _make(swarm, "before", "m3")
    assert len(swarm.on("web", "m3")) == 1
    swarm.kill_daemon("m3")
    swarm.start_daemon("m3")  # so that another segment follows the one that is spoilt
    _make(swarm, "later", "m3")
    swarm.kill_daemon("m3")
    folder = swarm.host("m3").paths.state / "swarm"
    first = min((folder / "manager").glob("*.wal"))
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes(data)

    swarm.lab("daemon", "m3", "start")
    words = _last_words(swarm, "m3")
    assert words.startswith(f"swarmd: {first.name} is damaged at byte "), words
    assert words.endswith(
        ". If other managers go on, demote and remove this node there, move the folder `swarm` out "
        "of its state folder and join it again; if none does, restore a backup: swarmctl swarm "
        "restore"
    )

    swarm.ctl("node", "demote", "m3")
    swarm.until_node("m3", "Down", timeout=60)
    status = ("node", "ls", "--format", "{{.Hostname}}:{{.ManagerStatus}}")
    swarm.until(lambda: "m3:" in swarm.ctl(*status).lines, "its seat is free")
    swarm.ctl("node", "rm", "m3")
    shutil.rmtree(folder)
    swarm.start_daemon("m3")
    token = swarm.ctl("swarm", "join-token", "-q", "manager").out.strip()
    swarm.ctl("swarm", "join", "--token", token, "m1:2377", at="m3")

    _until_whole(swarm)
    assert _made(swarm, "m3") == {"web", "before", "later"}
    swarm.until_runs("web", 3, timeout=60)
    swarm.until(lambda: len(swarm.on("web")) == 3, "nothing of its former life runs on")
    assert swarm.doubled() == []
