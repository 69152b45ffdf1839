"""Tasks meet: by name and virtual address, over all hosts, apart from other networks, from outside."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

HOSTS = ("m1", "w1", "w2")
WEB = "mkdir /www; hostname > /www/index.html; exec httpd -f -p 80 -h /www"
"""A web server that says who it is."""


@pytest.fixture(scope="module")
def swarm(machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), managers=1, workers=2) as made:
        yield made


@pytest.fixture
def front(swarm: Swarm) -> Iterator[str]:
    swarm.ctl("network", "create", "front")
    yield "front"
    swarm.clear()
    swarm.until(lambda: swarm.ctl("network", "rm", "front", code=None).code == 0, "it is unused")


def run(swarm: Swarm, service: str, script: str, *, code: int | None = 0) -> list[str]:
    """What a command says in the first task of a service."""
    return swarm.ctl("service", "exec", service, "--", "sh", "-c", script, code=code).lines


def test_a_name_leads_to_every_task_on_every_host(swarm: Swarm, front: str) -> None:
    swarm.create("web", "--network", front, TOOLS, "sh", "-c", WEB, replicas=3)
    swarm.create("client", "--network", front, TOOLS, "sh", "-c", OBEDIENT)
    names = {task.id[:12] for task in swarm.tasks("web")}
    assert {task.node for task in swarm.tasks("web")} == set(HOSTS)

    def answers() -> set[str]:
        script = "for i in 1 2 3 4 5 6; do wget -qO- -T 2 http://web/; done"
        return set(run(swarm, "client", script, code=None))

    swarm.until(lambda: answers() == names, "all answer")
    script = "for i in $(seq 30); do wget -qO- -T 2 http://web/; done"
    assert Counter(run(swarm, "client", script)) == dict.fromkeys(names, 10)
