"""`network check` names what was done to networks by hand, and on which node; --fix mends it."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from machine.drivers.lab import naming
from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm
from tests.support.traffic import until_all_know

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

HOSTS = ("m1", "w1", "w2")
Damage = Callable[[Swarm, str], None]


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    """Its daemons mend nothing by themselves, so that there is something to be found."""
    never = ("--look-at-networks-every", "0")
    with a_swarm(tmp_path_factory.mktemp("config"), managers=1, workers=2, daemon=never) as made:
        yield made


@pytest.fixture
def web(swarm: Swarm) -> Iterator[None]:
    """A service on every host, in a network and published; and a task in no network at all."""
    swarm.ctl("network", "create", "front")
    flags = ("--network", "front", "--publish", "8080:80")
    swarm.create("web", *flags, TOOLS, "sh", "-c", OBEDIENT, replicas=3)
    on_m1 = ("--constraint", "node.hostname==m1")
    swarm.create("own", *on_m1, "--publish", "mode=host,target=80", TOOLS, "sh", "-c", OBEDIENT)
    swarm.until(lambda: swarm.ctl("network", "check", code=None).code == 0, "all is in order")
    yield
    swarm.clear()
    swarm.until(lambda: swarm.ctl("network", "rm", "front", code=None).code == 0, "it is unused")


def found(swarm: Swarm, *words: str, code: int) -> dict[str, list[str]]:
    """What is said to be wrong, by node; notes are left out, and so is what was mended."""
    lines = swarm.ctl("network", "check", "--format", "json", *words, code=code).lines
    last = {each.get("Hostname", ""): each for each in map(json.loads, lines)}
    return {
        host: [
            " ".join(map(str, one.values()))
            for one in each.get("Findings", ())
            if not one.get("Note")
        ]
        for host, each in last.items()
    }


def nowhere(swarm: Swarm) -> dict[str, list[str]]:
    return {host: [] for host in ("", *swarm.hosts())}


def fabric(swarm: Swarm, host: str, *words: str) -> list[str]:
    return swarm.inside(host, "ip", "netns", "exec", "swarm-fabric", *words).lines


def tunnel(swarm: Swarm) -> str:
    """The device of network front."""
    (network,) = json.loads(swarm.ctl("network", "inspect", "front").out)
    return f"vx{network['VNI']}"


def sandbox(swarm: Swarm, host: str) -> str:
    return f"swarm-task-{next(t.id for t in swarm.tasks('web') if t.runs and t.node == host)}"


def an_entry(swarm: Swarm, host: str) -> None:
    lines = fabric(swarm, host, "bridge", "fdb", "show", "dev", tunnel(swarm))
    words = next(line for line in lines if " dst " in line).split()
    mac, end = words[0], words[words.index("dst") + 1]
    fabric(swarm, host, "bridge", "fdb", "del", mac, "dev", tunnel(swarm), "dst", end, "self")


def the_tunnel(swarm: Swarm, host: str) -> None:
    fabric(swarm, host, "ip", "link", "del", tunnel(swarm))


def an_address(swarm: Swarm, host: str) -> None:
    name = sandbox(swarm, host)
    shown = swarm.inside(host, "ip", "-n", name, "-j", "addr", "show", "dev", "eth0")
    (address,) = (a for a in json.loads(shown.out)[0]["addr_info"] if a["family"] == "inet")
    given = f"{address['local']}/{address['prefixlen']}"
    swarm.inside(host, "ip", "-n", name, "addr", "del", given, "dev", "eth0")


def all_rules(swarm: Swarm, host: str) -> None:
    swarm.inside(host, "nft", "flush", "ruleset")


def the_rules_of_ports(swarm: Swarm, host: str) -> None:
    swarm.inside(host, "nft", "flush", "table", "inet", "swarm_ingress")


def rules_of_a_task(swarm: Swarm, host: str) -> None:
    name = sandbox(swarm, host)
    swarm.inside(host, "ip", "netns", "exec", name, "nft", "flush", "ruleset")


def forwarding(swarm: Swarm, host: str) -> None:
    swarm.inside(host, "sysctl", "-w", "net.ipv4.ip_forward=0")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (an_entry, "lacks 1 of its entries"),
        (the_tunnel, "is missing"),
        (an_address, "interface eth0 of task web"),
        (all_rules, "table inet swarm_ingress is not there"),
        (the_rules_of_ports, "of table inet swarm_ingress has 0 rules"),
        (rules_of_a_task, "what leads to the name server is not there"),
        (forwarding, "net/ipv4/ip_forward is 0 instead of 1"),
    ],
)
def test_damage_is_named_with_its_node_and_mended(
    swarm: Swarm, web: None, damage: Damage, words: str
) -> None:
    damage(swarm, "w1")
    told = found(swarm, code=1)
    assert any(words in each for each in told["w1"]), told
    assert found(swarm, code=1) != nowhere(swarm), "nothing is changed unless it is asked for"
    assert found(swarm, "--fix", code=0) == nowhere(swarm)
    assert found(swarm, code=0) == nowhere(swarm)


def test_what_is_said_to_people(swarm: Swarm, web: None) -> None:
    told = swarm.ctl("network", "check", "front")
    assert "node w1: ok, 1 network, 1 task, 2 of 2 other nodes reached" in told.out
    assert told.lines[-1] == "networks are in order on 3 nodes"
    an_entry(swarm, "w2")
    told = swarm.ctl("network", "check", "front", "--node", "w2", code=1)
    assert "node w2: 2 things are wrong" in told.out  # the second is who is not reached for it
    assert "--fix" in told.lines[-1]
    told = swarm.ctl("network", "check", "--fix")
    assert "mended: put 1 forwarding and 0 neighbour entries" in told.out
    assert "no network 'nosuch'" in swarm.ctl("network", "check", "nosuch", code=1).err


def test_another_firewall_is_let_pass_in_its_own_words(swarm: Swarm, web: None) -> None:
    swarm.inside("w1", "iptables", "-P", "FORWARD", "DROP")
    (told,) = found(swarm, code=1)["w1"]
    assert "iptables drops what this host forwards" in told
    commands = "iptables -I FORWARD -i ing0 -j ACCEPT"
    assert commands not in swarm.inside("w1", "iptables", "-S", "FORWARD").out
    told_fixed = swarm.ctl("network", "check", "--fix").out
    assert commands in told_fixed
    assert "iptables -I FORWARD -i swb-gateway -j ACCEPT" in told_fixed, "the tasks' way out"
    assert "-A FORWARD -i ing0 -j ACCEPT" in swarm.inside("w1", "iptables", "-S", "FORWARD").lines
    assert found(swarm, code=0) == nowhere(swarm)
    swarm.inside("w1", "nft", "delete", "table", "ip", "filter")


def test_a_smaller_mtu_on_the_way_is_named(swarm: Swarm, web: None) -> None:
    port = ("ip", "-n", naming.bridge_namespace(swarm.name), "link", "set", "w1", "mtu")
    outside(*port, "1400")
    told = found(swarm, code=1)
    assert any("large packets do not get to node w1" in each for each in told["m1"]), told
    assert any("those of 1350 bytes do" in each for each in told["m1"]), told
    assert any("large packets do not get to node m1" in each for each in told["w1"]), told
    outside(*port, "1500")
    assert found(swarm, code=0) == nowhere(swarm)


def test_a_node_that_is_cut_off_is_named(swarm: Swarm, web: None) -> None:
    swarm.lab("cut", "w1")
    told = found(swarm, code=1)
    assert any("the node" in each for each in told["w1"]), told
    swarm.lab("heal")
    swarm.until_node("w1", "Ready", timeout=60)


def outside(*argv: str) -> None:
    subprocess.run(argv, check=True)


def test_flushed_rules_come_back_and_firewalls_are_opened_by_themselves(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    flags_of_daemons = ("--look-at-networks-every", "0.5", "--open-firewalls")
    name, config = f"h{os.getpid()}", tmp_path_factory.mktemp("heals")
    with a_swarm(config, managers=1, workers=0, name=name, daemon=flags_of_daemons) as alone:
        alone.ctl("network", "create", "front")
        flags = ("--network", "front", "--publish", "8080:80")
        alone.create("web", *flags, TOOLS, "sh", "-c", OBEDIENT)

        def rules() -> list[str]:
            return sorted(alone.inside("m1", "nft", "list", "tables").lines)

        until_all_know(alone)
        before = rules()
        assert "table inet swarm_ingress" in before
        alone.inside("m1", "nft", "flush", "ruleset")
        alone.inside("m1", "sysctl", "-w", "net.ipv4.ip_forward=0")
        alone.until(lambda: rules() == before, "they are back")
        forwards = ("sysctl", "-n", "net.ipv4.ip_forward")
        alone.until(lambda: alone.inside("m1", *forwards).lines == ["1"], "it forwards again")
        told = alone.ctl("network", "check").out
        assert "swarmd put something right by itself" in told
        alone.inside("m1", "iptables", "-P", "FORWARD", "DROP")
        alone.kill_daemon("m1")
        alone.start_daemon("m1")  # as after a reboot: another firewall was there first
        for way in ("-i ing0", "-o ing0", "-i swb-gateway", "-o swb-gateway"):
            rule = f"-A FORWARD {way} -j ACCEPT"
            alone.until(
                lambda rule=rule: rule in alone.inside("m1", "iptables", "-S", "FORWARD").lines,  # type: ignore[misc]
                f"{way} is let pass",
            )
        alone.inside("m1", "nft", "delete", "table", "ip", "filter")
