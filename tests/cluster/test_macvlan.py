"""Tasks beside their hosts, on the wire that these stand on."""

from collections.abc import Iterator

import pytest

from tests.support import wires
from tests.support.cluster import TOOLS, Swarm, a_swarm
from tests.support.traffic import QUIET, fails, lookup, of, outside, serving

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), managers=1, workers=2) as made:
        yield made


def base(swarm: Swarm) -> str:
    """What all addresses of the lab's wire begin with."""
    return swarm.host("m1").address.rpartition(".")[0]


@pytest.fixture
def lan(swarm: Swarm) -> Iterator[str]:
    """A network of a part of the addresses of the hosts' own wire."""
    wire = base(swarm)
    flags = ["--driver", "macvlan", "--opt", "parent=eth0", "--gateway", f"{wire}.250"]
    flags += ["--subnet", f"{wire}.0/24", "--ip-range", f"{wire}.192/27"]
    swarm.ctl("network", "create", *flags, "lan")
    yield "lan"
    swarm.clear()
    swarm.until(lambda: swarm.ctl("network", "rm", "lan", code=None).code == 0, "it is unused")


def test_tasks_of_all_hosts_meet_on_the_wire(swarm: Swarm, lan: str) -> None:
    quiet = ("--network", lan, TOOLS, "sh", "-c", QUIET)
    swarm.create("web", *quiet, replicas=3)
    swarm.create("client", *quiet)
    (client,) = swarm.on("client")
    swarm.until(lambda: len(lookup(of(client), "web")) == 3, "all tasks are named")
    own = lookup(of(client), "client")
    places = lookup(of(client), "web")
    given = {f"{base(swarm)}.{number}" for number in range(192, 224)}
    assert own | places <= given
    with serving(swarm, "web"):
        found = {wires.ask(of(client), address) for address in places}
        assert found == {(each.task_id[:12], seen) for each in swarm.on("web") for seen in own}
        # Whoever is on the wire reaches them too; their own hosts do not, as is macvlan's way.
        beside = {wires.ask(outside(swarm), address)[0] for address in places}
        assert beside == {each.task_id[:12] for each in swarm.on("web")}
        swarm.kill_daemon(client.host)
        swarm.start_daemon(client.host)
        assert {wires.ask(of(client), address) for address in places} == found
    swarm.until(lambda: swarm.ctl("node", "ls", code=None).code == 0, "a manager answers")
    swarm.until_node(client.host, "Ready")
    swarm.ctl("network", "check", lan)
    routes = swarm.ctl("service", "exec", "client", "--", "ip", "route").lines
    assert f"default via {base(swarm)}.250 dev eth0" in [line.strip() for line in routes]


def test_an_internal_one_is_each_hosts_own(swarm: Swarm) -> None:
    flags = ("--driver", "macvlan", "--internal", "--subnet", "10.50.0.0/24")
    swarm.ctl("network", "create", *flags, "cellar")
    here = ("--network", "cellar", "--constraint", "node.hostname==w1")
    there = ("--network", "cellar", "--constraint", "node.hostname==w2")
    quiet = (TOOLS, "sh", "-c", QUIET)
    swarm.create("near", *here, *quiet)
    swarm.create("far", *there, *quiet)
    swarm.create("client", *here, *quiet)
    (client,) = swarm.on("client")
    swarm.until(lambda: lookup(of(client), "near"), "it is named")
    (near,), (far,) = lookup(of(client), "near"), lookup(of(client), "far")
    with serving(swarm, "near"), serving(swarm, "far"):
        assert wires.ask(of(client), near)
        assert fails(lambda: wires.ask(of(client), far, patience=wires.SILENT))
        swarm.kill_daemon("w1")
        swarm.start_daemon("w1")
        swarm.until_node("w1", "Ready")
        swarm.ctl("network", "check", "cellar")
        assert wires.ask(of(client), near)
    for host in ("w1", "registry"):
        beyond = swarm.host(host).address
        assert "unreachable" in fails(lambda a=beyond: wires.ask(of(client), a, 5000))  # type: ignore[misc]
    swarm.clear()
    swarm.until(lambda: swarm.ctl("network", "rm", "cellar", code=None).code == 0, "it is unused")
