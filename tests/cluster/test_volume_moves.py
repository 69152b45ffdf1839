"""Local data follows its service: moved to another node, saved, and made again from that."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.support.cluster import TOOLS, Swarm, a_swarm

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

MOUNT = "type=volume,source=data,target=/data"
WRITER = (
    "trap 'exit 0' TERM; i=$(tail -n 1 /data/log 2>/dev/null || echo 0); "
    "while :; do i=$((i + 1)); echo $i >> /data/log; sync; sleep 0.05; done"
)
"""Counts on from where the data says that it was."""
READER = "trap 'exit 0' TERM; wc -l < /data/log; tail -n 1 /data/log; while :; do sleep 0.1; done"


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), workers=2) as made:
        yield made


@pytest.fixture
def writer(swarm: Swarm) -> Iterator[str]:
    """The host of a service that writes to a volume of the swarm."""
    swarm.ctl("volume", "create", "data")
    swarm.create(
        "db",
        *("--mount", MOUNT, "--constraint", "node.role==worker", "--restart-delay", "0s"),
        *(TOOLS, "sh", "-c", WRITER),
    )
    (first,) = swarm.on("db")
    swarm.until(lambda: copies(swarm, first.host), "it writes")
    yield first.host
    swarm.clear()
    for name in ("data", "copy"):
        swarm.until(lambda name=name: is_gone(swarm, name), f"{name} is nobody's")  # type: ignore[misc]


def is_gone(swarm: Swarm, volume: str) -> bool:
    """Removes a volume if it can be, and says whether it is not there any more."""
    swarm.ctl("volume", "rm", volume, code=None)
    return not swarm.ctl("volume", "ls", "--quiet", "--filter", f"name={volume}").lines


def told(swarm: Swarm, volume: str, form: str) -> str:
    """A column of `volume ls`."""
    rows = swarm.ctl("volume", "ls", "--filter", f"name={volume}", "--format", form).lines
    return rows[0]


def volumes(swarm: Swarm, host: str) -> Path:
    """Where a host has the data of its volumes."""
    return swarm.host(host).paths.state / "volumes"


def copies(swarm: Swarm, host: str) -> list[Path]:
    """The copies on a host of what the service wrote."""
    return [each.parent for each in volumes(swarm, host).glob("*/_data/log")]


@contextlib.contextmanager
def slowed(swarm: Swarm, host: str) -> Iterator[None]:
    """A host sends a mebibyte in a second: what takes long there is not over before it is seen."""
    limit = ("root", "tbf", "rate", "8mbit", "burst", "64kb", "latency", "400ms")
    swarm.inside(host, "tc", "qdisc", "add", "dev", "eth0", *limit)
    try:
        yield
    finally:
        swarm.inside(host, "tc", "qdisc", "del", "dev", "eth0", "root")


def until_one_copy(swarm: Swarm) -> None:
    """Until nothing is left of a copy that does not count: its node is told of that in the end."""
    swarm.until(lambda: "older copy" not in swarm.ctl("volume", "ls").err, "nothing is left of it")


def lines(swarm: Swarm, host: str) -> int:
    """How many records there are, all in order, where the one writer of the host has them."""
    writer = next(each for each in swarm.on("db", host))
    log = Path(f"/proc/{writer.pid}/root/data/log").read_text().split()
    assert log == [str(i + 1) for i in range(len(log))]
    return len(log)


def test_data_moves_with_its_service_and_back(swarm: Swarm, writer: str) -> None:
    other = {"w1": "w2", "w2": "w1"}[writer]
    for target in (other, writer):
        before = lines(swarm, swarm.on("db")[0].host)
        done = swarm.ctl("volume", "migrate", "data", target)
        assert f"is being moved to {target}" in done.err
        assert told(swarm, "data", "{{.Home}}") == target
        swarm.until(lambda target=target: swarm.on("db", target), "it goes on there")  # type: ignore[misc]
        swarm.until(
            lambda target=target, before=before: lines(swarm, target) > before,  # type: ignore[misc]
            "it writes on",
        )
        # Until then it cannot be moved again.
        until_one_copy(swarm)


def test_a_move_to_a_node_that_is_lost_can_be_given_up(swarm: Swarm, writer: str) -> None:
    other = {"w1": "w2", "w2": "w1"}[writer]
    swarm.lab("daemon", other, "pause")
    try:
        swarm.ctl("volume", "migrate", "--detach", "data", other)
        swarm.until(lambda: not swarm.on("db"), "its task is gone")
        swarm.ctl("volume", "migrate", "--cancel", "data")
        swarm.until(lambda: swarm.on("db", writer), "it is back where it was")
    finally:
        swarm.lab("daemon", other, "resume")
    until_one_copy(swarm)


@pytest.mark.parametrize("victim", ["home", "target", "leader"])
def test_a_daemon_that_dies_in_the_middle_of_a_copy_harms_nothing(
    swarm: Swarm, writer: str, victim: str
) -> None:
    other = {"w1": "w2", "w2": "w1"}[writer]
    (folder,) = copies(swarm, writer)
    big = Random(1).randbytes(24 << 20)
    (folder / "big").write_bytes(big)
    filling = volumes(swarm, other)
    host = {"home": writer, "target": other, "leader": "m1"}[victim]
    with slowed(swarm, writer):
        swarm.ctl("volume", "migrate", "--detach", "data", other)
        swarm.until(lambda: any(filling.glob("*/_filling/big")), "it is under way")
        swarm.kill_daemon(host)
    swarm.start_daemon(host)
    swarm.until(
        lambda: told(swarm, "data", "{{.Home}}") == other, "it is there in the end", timeout=120
    )
    swarm.until(lambda: swarm.on("db", other), "the service follows", timeout=60)
    swarm.until(lambda: not copies(swarm, writer), "the old copy is gone", timeout=60)
    (folder,) = copies(swarm, other)
    assert (folder / "big").read_bytes() == big
    assert lines(swarm, other) > 0


def test_what_was_saved_is_made_again(swarm: Swarm, writer: str, tmp_path: Path) -> None:
    archive = tmp_path / "data.tar.zst"
    refusal = swarm.ctl("volume", "backup", "-o", str(archive), "data", code=1)
    assert "--stop" in refusal.err
    assert not archive.exists()
    swarm.ctl("volume", "backup", "--live", "-o", str(archive), "data")
    swarm.ctl("volume", "backup", "--stop", "-o", str(archive), "data")
    swarm.until(lambda: swarm.on("db"), "the service is back")
    swarm.ctl("volume", "restore", "-i", str(archive), "--node", "m1", "copy")
    assert told(swarm, "copy", "{{.Home}}") == "m1"
    mount = MOUNT.replace("data,", "copy,")
    swarm.create("reader", "--mount", mount, TOOLS, "sh", "-c", READER)
    swarm.until(lambda: len(swarm.logs("reader")) == 2, "it has read")
    counted = swarm.logs("reader")
    assert counted[0] == counted[1]
    assert int(counted[0]) > 0
