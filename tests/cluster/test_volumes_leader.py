"""What a database on a volume of the swarm does not notice, and what its managers do not forget: a
daemon that is restarted, a leader that is lost when the lease is due, to be renewed or to end.
"""

import asyncio
from collections.abc import Iterator

import pytest

from machine.drivers.lab.driver import LabDriver
from tests.support.cluster import Swarm, a_swarm
from tests.support.database import Database, a_database, storage_of
from tests.support.lab_faults import leader_of
from tests.support.lab_storage import LabStorage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

MANAGERS = ["m1", "m2", "m3"]
LEASE = "20s"
"""Longer than any daemon takes to start, and any managers to find a leader."""


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), managers=3, workers=3) as made:
        yield made


@pytest.fixture(scope="module")
def storage(swarm: Swarm) -> LabStorage:
    """On a host that is never lost."""
    return storage_of(swarm, "w3")


@pytest.fixture
def database(swarm: Swarm, storage: LabStorage) -> Iterator[Database]:
    with a_database(swarm, storage, LEASE) as made:
        yield made


def _leader(swarm: Swarm) -> str:
    found = swarm.until(
        lambda: asyncio.run(leader_of(LabDriver.open(swarm.name), MANAGERS)), "somebody leads"
    )
    return str(found)


def test_a_lease_is_renewed_across_a_change_of_leader(swarm: Swarm, database: Database) -> None:
    for _ in range(2):
        manager = _leader(swarm)
        swarm.lab("kill", manager)
        for _ in range(40):  # longer than the lease
            database.goes_on()
        swarm.lab("start", manager)
        swarm.start_daemon(manager)
        swarm.until_node(manager, "Ready", timeout=60)
    assert swarm.on("db") == [database.first]
    assert database.checked() == [database.first.task_id]


def test_a_daemon_that_is_back_in_time_finds_its_guardian(swarm: Swarm, database: Database) -> None:
    for _ in range(2):
        swarm.kill_daemon(database.first.host)
        swarm.start_daemon(database.first.host)
        swarm.until_node(database.first.host, "Ready")
        database.goes_on()
    assert swarm.on("db") == [database.first]
    assert database.checked() == [database.first.task_id]


def test_the_leader_is_lost_while_it_waits_for_a_lease_to_end(
    swarm: Swarm, database: Database
) -> None:
    swarm.lab("cut", database.first.host)
    swarm.until_node(database.first.host, "Down", timeout=60)
    leader = _leader(swarm)
    swarm.lab("kill", leader)
    second = database.moved()
    swarm.lab("start", leader)
    swarm.start_daemon(leader)
    swarm.lab("heal", database.first.host)
    swarm.until(lambda: database.first not in swarm.on("db"), "the first one is gone", timeout=60)
    assert database.checked() == [database.first.task_id, second.task_id]
