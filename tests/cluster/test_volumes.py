"""Data that follows a task to another host, with never two writers: real mounts, over sshfs.

A writer that syncs what it acknowledges, faults of the node that holds its volume, and a reader
that finds out whether anything was lost, or written by two.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm
from tests.support.database import Database, a_database, mounts_of, storage_of
from tests.support.lab_storage import LabStorage

pytestmark = pytest.mark.cluster

HEARTBEAT, LEASE = 3, "12s"
"""A daemon may be without a processor for five seconds: else no node is lost but the one that is
struck. Half as long is too short for a machine with too much to do.
"""


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), heartbeat=HEARTBEAT) as made:
        yield made


@pytest.fixture(scope="module")
def storage(swarm: Swarm) -> LabStorage:
    """An SSH server on the manager's host: the workers may fail, it does not. Its key is a secret
    of the swarm.
    """
    return storage_of(swarm, "m1")


@pytest.fixture
def database(swarm: Swarm, storage: LabStorage) -> Iterator[Database]:
    with a_database(swarm, storage, LEASE) as made:
        yield made


Fault = Callable[[Swarm, str], object]

FAULTS: dict[str, tuple[Fault, Fault | None]] = {
    "power lost": (lambda s, h: s.lab("kill", h), None),
    "cut off": (lambda s, h: s.lab("cut", h), lambda s, h: s.lab("heal", h)),
    "mute": (lambda s, h: s.lab("cut", "--only", "out", h), lambda s, h: s.lab("heal", h)),
    "deaf": (lambda s, h: s.lab("cut", "--only", "in", h), lambda s, h: s.lab("heal", h)),
    "paused": (lambda s, h: s.lab("pause", h), lambda s, h: s.lab("resume", h)),
    "without a daemon": (lambda s, h: s.kill_daemon(h), lambda s, h: s.start_daemon(h)),
    "with a daemon that hangs": (
        lambda s, h: s.lab("daemon", h, "pause"),
        lambda s, h: s.lab("daemon", h, "resume"),
    ),
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", FAULTS)
def test_the_data_follows_its_task_and_is_written_by_one_node_at_a_time(
    swarm: Swarm, database: Database, name: str
) -> None:
    strike, mend = FAULTS[name]
    lost = database.first
    strike(swarm, lost.host)
    second = database.moved()
    if mend is not None:
        mend(swarm, lost.host)
        swarm.until_node(lost.host, "Ready", timeout=60)
        swarm.until(lambda: lost not in swarm.on("db"), "the first one is gone")
    database.goes_on()
    assert database.checked() == [lost.task_id, second.task_id]


@pytest.mark.timeout(240)
def test_a_storage_that_is_not_there_is_the_tasks_error_and_nobody_elses(
    swarm: Swarm, storage: LabStorage
) -> None:
    nobody = storage.address.rpartition(".")[0] + ".250"
    options = ["-o", f"sshcmd=root@{nobody}:/srv", "-o", f"host_key={storage.host_key}"]
    swarm.ctl("volume", "create", "-d", "sshfs", *options, "--secret", "identity=key", "lost")
    mount = "type=cluster,source=lost,target=/data"
    swarm.ctl("service", "create", "--detach", "--name", "db", "--mount", mount, TOOLS, "true")
    try:
        swarm.create("web", TOOLS, "sh", "-c", OBEDIENT, replicas=3)
        swarm.until(
            lambda: any(f"{nobody} port 22" in task.error for task in swarm.tasks("db")),
            "the task says why",
            timeout=60,
        )
    finally:
        swarm.clear()
    swarm.until(
        lambda: swarm.ctl("volume", "rm", "lost", code=None).code == 0, "it is nobody's", timeout=60
    )
    assert [mounts_of(swarm, host) for host in swarm.hosts()] == [""] * 3


@pytest.mark.timeout(240)
def test_volume_ls_shows_who_holds_it(swarm: Swarm, database: Database) -> None:
    (line,) = swarm.ctl("volume", "ls", "--format", "{{.Name}} {{.Driver}} {{.Holders}}").lines
    assert line == f"data sshfs {database.first.host}"
    assert "sshfs" in mounts_of(swarm, database.first.host)
