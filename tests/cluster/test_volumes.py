"""Data that follows a task to another host, with never two writers: real mounts, over sshfs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import records
from tests.support.cluster import TOOLS, Container, Swarm, a_swarm
from tests.support.lab_storage import LabStorage, lab_storage

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), heartbeat=1) as made:
        yield made


@pytest.fixture(scope="module")
def storage(swarm: Swarm) -> LabStorage:
    """An SSH server on the manager's host: the workers may fail, it does not."""
    return lab_storage(swarm, "m1")


@pytest.fixture
def data(swarm: Swarm, storage: LabStorage) -> Iterator[Path]:
    """An empty volume `data` of the swarm; the folder that is behind it."""
    folder = storage.fresh("data")
    swarm.ctl("volume", "create", "-d", "sshfs", "--lease", "5s", *storage.flags("data"), "data")
    yield folder
    swarm.mend()
    swarm.clear()
    swarm.until(lambda: _rm(swarm), "the volume can be removed")


def _rm(swarm: Swarm) -> bool:
    return swarm.ctl("volume", "rm", "data", code=None).code == 0


def _write(swarm: Swarm, storage: LabStorage) -> Container:
    """A writer on one of the workers; its container."""
    acks = storage.fresh("acks")
    swarm.create(
        "db",
        *("--mount", "type=volume,source=data,target=/data"),
        *("--mount", f"type=bind,source={acks},target=/acks"),
        *("--hostname", "{{.Task.ID}}", "--constraint", "node.role==worker"),
        *("--restart-delay", "0s", TOOLS, "sh", "-c", records.WRITER),
    )
    return _at_work(swarm, storage)


def _at_work(swarm: Swarm, storage: LabStorage, *before: str) -> Container:
    """Until another writer than those before is at work."""
    acks = storage.folder / "acks"

    def works() -> list[Container]:
        fresh = {each.writer for each in records.acks(acks)} - set(before)
        return [each for each in swarm.on("db") if each.task_id in fresh]

    (found,) = swarm.until(works, "a writer is at work", timeout=60)
    return found


def test_the_data_follows_when_its_node_loses_power(
    swarm: Swarm, storage: LabStorage, data: Path
) -> None:
    first = _write(swarm, storage)
    swarm.lab("kill", first.host)
    second = _at_work(swarm, storage, first.task_id)
    assert second.host != first.host
    assert records.check(data / "log", storage.folder / "acks") == [first.task_id, second.task_id]
