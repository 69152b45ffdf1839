"""Tasks are stopped once nobody is led to them any more, and not much later."""

import json
from collections.abc import Iterator
from functools import partial

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm
from tests.support.traffic import HEALTH, WEB, Load
from tests.support.web_client import Client

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

CALLS = r"""
trap 'exit 0' TERM
while :; do
    printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 20 web 80 | grep -q 200 && echo well || echo FAILED
done
"""
"""Asks the service `web` by its virtual address, one time after another, and says how it went."""


@pytest.fixture
def front(swarm: Swarm) -> Iterator[str]:
    swarm.ctl("network", "create", "front")
    yield "front"
    swarm.clear()
    swarm.until(lambda: swarm.ctl("network", "rm", "front", code=None).code == 0, "it is unused")


def until_leads_to_all(swarm: Swarm, client: Client, host: str) -> None:
    """A node hears of one task a moment after another."""
    tasks = len(swarm.on("web"))
    seen: set[str] = set()

    def all_seen() -> bool:
        if answer := client.ask(host):
            seen.add(answer[0])
        return len(seen) == tasks

    swarm.until(all_seen, f"{host} leads to all tasks")


def test_a_rolling_update_fails_no_request(swarm: Swarm, front: str) -> None:
    flags = ("--network", front, "--publish", "8080:80", "--update-monitor", "0s", *HEALTH)
    swarm.create("web", *flags, TOOLS, "sh", "-c", WEB, replicas=3)
    client = Client(swarm)
    for host in client.hosts:
        until_leads_to_all(swarm, client, host)
    swarm.create("inner", "--network", front, TOOLS, "sh", "-c", CALLS, replicas=3)
    with Load({host: partial(client.get, host) for host in client.hosts}) as load:
        for order in ("stop-first", "start-first"):
            before = {task.id for task in swarm.tasks("web")}
            swarm.ctl("service", "update", "--force", "--update-order", order, "web", timeout=90)
            assert not before & {task.id for task in swarm.tasks("web") if task.runs}
            load.goes_on()
    said = swarm.logs("inner")
    assert "well" in said
    assert "FAILED" not in said
    assert load.failed == []


@pytest.fixture
def seldom_heard(swarm: Swarm) -> Iterator[str]:
    """A node that may be silent for longer than a task takes to end on a slow machine: it is found
    down after half a minute.
    """
    swarm.ctl("swarm", "update", "--dispatcher-heartbeat", "10s")
    come_anew(swarm, "w2")
    yield "w2"
    swarm.ctl("swarm", "update", "--dispatcher-heartbeat", "5s")
    come_anew(swarm, "w1", "w2")


def come_anew(swarm: Swarm, *hosts: str) -> None:
    """The nodes hear at once what period heartbeats have."""
    for host in hosts:
        swarm.kill_daemon(host)
        swarm.start_daemon(host)
        swarm.until_node(host, "Ready")


def test_a_node_that_hangs_holds_up_no_stop_for_long(swarm: Swarm, seldom_heard: str) -> None:
    """That it is down is found out after the task has ended."""
    here = ("--constraint", "node.hostname==w1")
    swarm.create("web", *here, "--publish", "8080:80", TOOLS, "sh", "-c", OBEDIENT)
    node_id = swarm.ctl("node", "inspect", "-f", "{{.ID}}", seldom_heard).out.strip()
    (task,) = swarm.tasks("web")
    swarm.lab("daemon", seldom_heard, "pause")
    try:
        swarm.ctl("service", "rm", "web")
        over = swarm.until(lambda: _ends(swarm, task.id, node_id), "it has ended", timeout=60)
        assert over[0] == task.id
    finally:
        swarm.lab("daemon", seldom_heard, "resume")


def _ends(swarm: Swarm, task_id: str, node_id: str) -> list[str]:
    """Which of both is over, in order: the task has ended, the node is down, since there was that
    task.
    """
    words = ("--since", "0", "--until", "0s", "--format", "json")
    told = [json.loads(line)["Actor"] for line in swarm.ctl("events", *words).lines]
    since = next(place for place, each in enumerate(told) if each["ID"] == task_id)
    found = [(each["ID"], each["Attributes"].get("state.new")) for each in told[since:]]
    return [
        who for who, state in found if (who, state) in {(task_id, "shutdown"), (node_id, "down")}
    ]
