"""Leases do not depend on what time it is: the wall clock of the holder or the manager is set an
hour ahead or back while they run, while leases are renewed, and while one has to end.
"""

import json
from collections.abc import Iterator

import pytest

from tests.support.cluster import Swarm, a_swarm
from tests.support.database import Database, a_database, storage_of
from tests.support.lab_storage import LabStorage
from tests.support.wrong_clock import AROUND, set_wrong

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

LEASE = "20s"
"""Three heartbeats may be lost, as on a host with too much to do."""
HOUR = 3600


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), around=AROUND) as made:
        yield made


@pytest.fixture(scope="module")
def storage(swarm: Swarm) -> LabStorage:
    return storage_of(swarm, "m1")


@pytest.fixture
def database(swarm: Swarm, storage: LabStorage) -> Iterator[Database]:
    with a_database(swarm, storage, LEASE) as made:
        yield made
        for host in swarm.hosts():
            _set(swarm, host, 0)


def _set(swarm: Swarm, host: str, seconds: int) -> None:
    set_wrong(swarm.host(host).paths.state, seconds)


def _hour_of_the_manager(swarm: Swarm) -> str:
    """As it stands in what is made there now."""
    swarm.ctl("service", "create", "--detach", "--replicas", "0", "--name", "now", "none")
    (found,) = json.loads(swarm.ctl("service", "inspect", "now").out)
    swarm.ctl("service", "rm", "now")
    return str(found["CreatedAt"])[:13]


def test_the_clock_of_a_daemon_is_set(swarm: Swarm) -> None:
    """Otherwise the others would show nothing."""
    found = set()
    for seconds in (-HOUR, HOUR):
        _set(swarm, "m1", seconds)
        found.add(_hour_of_the_manager(swarm))
    _set(swarm, "m1", 0)
    assert len(found) == 2


def test_a_holder_goes_on_whatever_the_time(swarm: Swarm, database: Database) -> None:
    """Longer than a lease lasts, so that clocks are set at any moment of a renewal."""
    for turn in range(8):
        for host in (database.first.host, "m1")[turn % 2 :]:
            for seconds in (HOUR, -HOUR, 0)[turn % 3 :]:
                _set(swarm, host, seconds)
                database.goes_on()
    assert swarm.on("db") == [database.first]
    assert database.checked() == [database.first.task_id]


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_lease_ends_in_its_time(swarm: Swarm, database: Database, seconds: int) -> None:
    lost = database.first
    swarm.lab("cut", lost.host)
    _set(swarm, lost.host, seconds)
    _set(swarm, "m1", -seconds)
    second = database.moved()
    swarm.lab("heal", lost.host)
    swarm.until_node(lost.host, "Ready", timeout=60)
    swarm.until(lambda: lost not in swarm.on("db"), "the first one is gone")
    database.goes_on()
    writers = database.checked()
    assert writers.index(lost.task_id) < writers.index(second.task_id)
