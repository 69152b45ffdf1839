"""Encrypted networks between hosts: what is seen on the wire, what if WireGuard ends, who is in."""

import json
from collections.abc import Iterator

import pytest

from machine.drivers.lab import naming
from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm
from tests.support.wire_tap import VXLAN, WIREGUARD, Wire, datagram

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

WORD = "what-nobody-else-may-read"
SERVE = f"""
mkdir -p /www; echo {WORD} > /www/index.html
httpd -f -p 80 -h /www & trap 'kill $!; exit 0' TERM; wait
"""
ASK = r"printf 'GET / HTTP/1.0\r\n\r\n' | nc -w {patience} {target} | tail -n 1"
ONCE = 20
"""Seconds that who asks but once waits for the answer."""


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), managers=1, workers=2) as made:
        yield made


@pytest.fixture
def network(swarm: Swarm, request: pytest.FixtureRequest) -> Iterator[str]:
    """An encrypted one, or one that is not."""
    options = getattr(request, "param", ("--opt", "encrypted"))
    swarm.ctl("network", "create", *options, "front")
    yield "front"
    swarm.clear()
    swarm.until(lambda: swarm.ctl("network", "rm", "front", code=None).code == 0, "it is unused")


def at(host: str) -> tuple[str, str]:
    return "--constraint", f"node.hostname=={host}"


def serve_and_ask(swarm: Swarm, network: str) -> None:
    """A service on w1, and a client of it on m1, once it answers."""
    swarm.create("web", "--network", network, *at("w1"), TOOLS, "sh", "-c", SERVE)
    swarm.create("client", "--network", network, *at("m1"), TOOLS, "sh", "-c", OBEDIENT)
    swarm.until(lambda: asked(swarm), "the service answers")


def asked(swarm: Swarm, patience: int = 2) -> bool:
    """Whether the service answers to its name on the other host."""
    ask = ASK.format(patience=patience, target="web 80")
    done = swarm.ctl("service", "exec", "client", "--", "sh", "-c", ask, code=None)
    return done.lines == [WORD]


def wire(swarm: Swarm) -> Wire:
    return Wire(naming.bridge_namespace(swarm.name))


def seen(tap: Wire, number: int) -> tuple[set[int], bool]:
    """UDP ports of what passed that is of tunnels, those in clear of this network alone; and
    whether the word was read.
    """
    frames = tap.frames()
    found = [each for each in map(datagram, frames) if each is not None]
    ports = {each.port for each in found if each.port == WIREGUARD or each.vni == number}
    return ports, any(WORD.encode() in frame for frame in frames)


def number_of(swarm: Swarm, network: str) -> int:
    """A network's number in tunnels."""
    return int(json.loads(swarm.ctl("network", "inspect", network).out)[0]["VNI"])


def carrier(swarm: Swarm, host: str) -> str:
    """The pid of wireguard-go, as the host sees it; empty if there is none."""
    return swarm.inside(host, "pidof", "wireguard-go", code=None).out.strip()


def test_nobody_between_hosts_reads_what_is_said(swarm: Swarm, network: str) -> None:
    serve_and_ask(swarm, network)
    with wire(swarm) as tap:
        assert asked(swarm, ONCE)
        assert seen(tap, number_of(swarm, network)) == ({WIREGUARD}, False)


@pytest.mark.parametrize("network", [()], indirect=True, ids=["in clear"])
def test_a_network_in_clear_is_as_ever(swarm: Swarm, network: str) -> None:
    serve_and_ask(swarm, network)
    for host in swarm.hosts():
        swarm.until(lambda: not carrier(swarm, host), "no encryption is left")  # noqa: B023 - called at once
    with wire(swarm) as tap:
        assert asked(swarm, ONCE)
        assert seen(tap, number_of(swarm, network)) == ({VXLAN}, True)


def test_while_wireguard_is_gone_nothing_passes(swarm: Swarm, network: str) -> None:
    serve_and_ask(swarm, network)
    number, former = number_of(swarm, network), carrier(swarm, "w1")
    swarm.lab("daemon", "w1", "pause")  # it would help at once
    with wire(swarm) as tap:
        swarm.inside("w1", "kill", "-9", former)
        swarm.until(lambda: not carrier(swarm, "w1"), "it has ended")
        tap.frames()
        assert not asked(swarm)
        ports, read = seen(tap, number)
        assert (VXLAN in ports, read) == (False, False)
        swarm.lab("daemon", "w1", "resume")
        swarm.until(lambda: asked(swarm), "the service answers again")
        assert seen(tap, number) == ({WIREGUARD}, False)
    assert carrier(swarm, "w1") not in ("", former)


def test_published_ports_are_encrypted_with_their_network(swarm: Swarm) -> None:
    make_ingress(swarm, "--opt", "encrypted")
    try:
        publish = ("--publish", "8080:80", *at("w1"))
        swarm.create("web", *publish, TOOLS, "sh", "-c", SERVE)

        def answers(patience: int = 2) -> bool:
            ask = ASK.format(patience=patience, target="127.0.0.1 8080")
            ask = ask.replace("| nc", "| busybox nc")
            return swarm.inside("m1", "sh", "-c", ask, code=None).lines == [WORD]

        swarm.until(answers, "the port of m1 leads to w1")
        with wire(swarm) as tap:
            assert answers(ONCE)
            assert seen(tap, number_of(swarm, "ingress")) == ({WIREGUARD}, False)
        swarm.clear()
    finally:
        make_ingress(swarm)


def make_ingress(swarm: Swarm, *options: str) -> None:
    """Another network for published ports, which nobody uses just now."""
    remove = ("network", "rm", "--force", "ingress")
    swarm.until(lambda: swarm.ctl(*remove, code=None).code == 0, "it is unused")
    subnet = ("--subnet", "10.255.0.0/16")
    swarm.ctl("network", "create", "--ingress", *subnet, *options, "ingress")


def test_a_killed_daemon_leaves_the_encryption_alone(swarm: Swarm, network: str) -> None:
    serve_and_ask(swarm, network)
    former = carrier(swarm, "w1")
    swarm.kill_daemon("w1")
    assert asked(swarm, ONCE)
    swarm.start_daemon("w1")
    assert asked(swarm, ONCE)
    swarm.until_node("w1", "Ready")
    assert asked(swarm, ONCE)
    assert carrier(swarm, "w1") == former != ""


def test_a_node_that_cannot_encrypt_is_given_none_of_it(swarm: Swarm, network: str) -> None:
    program = swarm.inside("w2", "sh", "-c", "command -v wireguard-go").out.strip()
    swarm.inside("w2", "mount", "--bind", "/dev/null", program)
    swarm.kill_daemon("w2")
    swarm.start_daemon("w2")
    try:
        swarm.until(lambda: "none: " in told(swarm, "w2"), "it says what is missing")
        assert "wireguard-go is not installed" in told(swarm, "w2")
        assert "wireguard-go 0." in told(swarm, "w1")
        swarm.create("web", "--network", network, TOOLS, "sh", "-c", OBEDIENT, replicas=4)
        assert {task.node for task in swarm.tasks("web")} == {"m1", "w1"}
        words = ("--network", network, *at("w2"), TOOLS, "sh", "-c", OBEDIENT)
        swarm.ctl("service", "create", "--detach", "--name", "lost", *words)
        swarm.until(lambda: [t for t in swarm.tasks("lost") if t.error], "it says why it waits")
        assert "no encryption on 1 node" in swarm.tasks("lost")[0].error
    finally:
        swarm.inside("w2", "umount", program)
    swarm.kill_daemon("w2")
    swarm.start_daemon("w2")
    swarm.until_runs("lost", 1)


def told(swarm: Swarm, host: str) -> str:
    """What `node inspect` says of a node's encryption."""
    node = next(
        line.split()[0]
        for line in swarm.ctl("node", "ls", "--format", "{{.ID}} {{.Hostname}}").lines
        if line.split()[1] == host
    )
    lines = swarm.ctl("node", "inspect", "--pretty", node).lines
    return next((line for line in lines if line.startswith("Encryption")), "")
