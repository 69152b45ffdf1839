"""Two nodes in the kernel, told by managers: their tasks meet, ports are published, restarts change
nothing.
"""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from api.published import CHOSEN
from api.v1 import dispatcher_pb2, network_pb2, specs_pb2
from hostkit import netns
from overlay_net.check import ping, reach
from overlay_net.nft import LibNft
from tests.support.encrypting import unused_encryption
from tests.support.fabric_hosts import (
    NOT_REACHED,
    PATIENCE,
    FabricHost,
    connected,
    listening,
    look,
    underlay,
)
from tests.support.nft_command import NftCommand
from worker.data_path import DataPath, Made
from worker.encrypted import Encrypted
from worker.executor import TemporaryError
from worker.network_book import Item, change_of
from worker.task_place import Place

pytestmark = pytest.mark.root

Message = dispatcher_pb2.AssignmentsMessage
VIRTUAL = "10.0.1.2"
NODE_ADDRESS = "10.99.0.1"


@dataclass
class Worker:
    """A node: its host, and what its daemon does for networks."""

    host: FabricHost
    nft: LibNft
    data_path: DataPath

    def restart(self, items: Iterable[Item], *places: Place) -> None:
        self.data_path.close()
        self.data_path = _data_path(self.host, self.nft)
        self.data_path.recall(items, places, ())
        self.data_path.converge(look=True)


def _data_path(host: FabricHost, nft: LibNft) -> DataPath:
    return DataPath(
        host.name, nft, unused_encryption(nft, host), host=host.path, prefix=f"{host.name}-net"
    )


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    with underlay(2) as laid, contextlib.ExitStack() as stack:
        nft = LibNft()
        stack.callback(nft.close)
        made = [Worker(host, nft, _data_path(host, nft)) for host in laid.hosts]
        for each in made:
            stack.callback(lambda each=each: each.data_path.close())  # type: ignore[misc]
        yield made


def items(workers: list[Worker], *, serving: bool = True, reached: int = 2) -> list[Item]:
    """Task a on the first node asks, b on the second serves: in network front, and published."""
    front = network_pb2.NodeNetwork(id="front", name="front", driver="overlay", vni=4097)
    front.pools.add(subnet="10.0.1.0/24")
    ingress = network_pb2.NodeNetwork(
        id="in", name="ingress", driver="overlay", vni=4096, ingress=True
    )
    ingress.pools.add(subnet="10.255.0.0/16")
    told: list[Item] = [front, ingress]
    for number, each in enumerate(workers[:reached], 1):
        told.append(
            network_pb2.NetworkPeer(
                node_id=each.host.name,
                data_path_address=each.host.address,
                ingress_addresses=[f"10.255.0.{number}/16"],
            )
        )
    port = specs_pb2.PortConfig(target_port=80, published_port=8080)
    told += [
        network_pb2.NetworkService(
            network_id="front", service_id="web", name="web", virtual_ips=[VIRTUAL]
        ),
        network_pb2.NetworkService(network_id="in", service_id="web", name="web", ports=[port]),
        _endpoint("front", "a", workers[0], "10.0.1.5/24"),
        _endpoint("front", "b", workers[1], "10.0.1.6/24", serving=serving),
        _endpoint("in", "b", workers[1], "10.255.0.9/16", serving=serving),
    ]
    return told


def _endpoint(
    network: str, task: str, worker: Worker, address: str, *, serving: bool = False
) -> network_pb2.NetworkEndpoint:
    return network_pb2.NetworkEndpoint(
        network_id=network,
        task_id=task,
        name=f"task.{task}",
        service_id="web" if task == "b" else "client",
        addresses=[address],
        node_id=worker.host.name,
        serving=serving,
    )


def tell(workers: list[Worker], told: list[Item]) -> None:
    message = Message(type=Message.TYPE_COMPLETE, changes=map(change_of, told))
    for each in workers:
        each.data_path.follow(message)
        assert each.data_path.trouble is None


A, B = Place("a", ("front",)), Place("b", ("in", "front"))


def joined(workers: list[Worker]) -> tuple[Made, Made]:
    tell(workers, items(workers))
    return workers[0].data_path.join(A), workers[1].data_path.join(B)


def unheard(source: str, address: str, port: int, server: socket.socket) -> bool:
    """The contrary of being answered, soon told."""
    return answers(source, address, port, server, NOT_REACHED) == ""


def answers(
    source: str, address: str, port: int, server: socket.socket, patience: float = PATIENCE
) -> str:
    """Who is seen to ask; nobody if the server is not reached."""
    made = connected(source, address, port, patience)
    if made is None:
        return ""
    with made, server.accept()[0] as taken:
        seen: str = taken.getpeername()[0]
        return seen.removeprefix("::ffff:")


def test_a_task_waits_for_its_networks(workers: list[Worker]) -> None:
    with pytest.raises(TemporaryError, match="front"):
        workers[0].data_path.join(A)
    assert workers[0].data_path._sandboxes.all() == {}


def test_tasks_meet_by_their_virtual_address_while_they_serve(workers: list[Worker]) -> None:
    a, b = joined(workers)
    assert (a.addresses, b.addresses) == (("10.0.1.5",), ("10.0.1.6",))
    with listening(b.path, port=80) as server:
        assert answers(a.path, VIRTUAL, 80, server) == "10.0.1.5"
        tell(workers, items(workers, serving=False))
        assert unheard(a.path, VIRTUAL, 80, server)
        assert answers(a.path, "10.0.1.6", 80, server) == "10.0.1.5"


def test_a_port_is_published_on_every_node(workers: list[Worker]) -> None:
    _, b = joined(workers)
    with listening(b.path, port=80) as server:
        for client, address, seen in (
            (workers[1], NODE_ADDRESS, "10.99.0.2"),
            (workers[0], "10.99.0.2", NODE_ADDRESS),
        ):
            assert answers(client.host.path, address, 8080, server) == seen
    assert "10.255." not in look(workers[0].host.name, "route show"), "the host's ways are its own"


def test_a_host_that_publishes_nothing_is_spared_the_ingress_network(workers: list[Worker]) -> None:
    host, everything = workers[0].host, items(workers)
    unpublished = [each for each in everything if getattr(each, "network_id", "") != "in"]
    for told, there in ((unpublished, False), (everything, True), (unpublished, False)):
        tell(workers, told)
        assert ("10.255.0.1" in look(host.name, "-br address show")) is there
        assert ("swarm_ingress" in _tables(host)) is there


def test_the_last_port_that_goes_leaves_nobody_waiting(workers: list[Worker]) -> None:
    """Connections go on while the task is there, and end when it goes; new ones are refused."""
    _, b = joined(workers)
    first, everything = workers[0], items(workers)
    withdrawn = [each for each in everything if not _publishes(each)]
    gone = [each for each in withdrawn if getattr(each, "network_id", "") != "in"]
    client = workers[1].host.path
    with listening(b.path, port=80) as server:
        held = connected(client, NODE_ADDRESS, 8080)
        assert held is not None
        with held, server.accept()[0] as taken:
            held.settimeout(PATIENCE)
            taken.settimeout(PATIENCE)
            tell([first], withdrawn)
            assert _refused(client)
            held.sendall(b"still here")
            assert taken.recv(10) == b"still here"
            tell([first], gone)
            assert _refused(client)
            held.sendall(b"and now?")
            with pytest.raises(ConnectionResetError):
                held.recv(1)
    assert _tables(first.host).count("ingress") == 0


def _publishes(item: Item) -> bool:
    return isinstance(item, network_pb2.NetworkService) and item.network_id == "in"


def _refused(source: str) -> bool:
    with (
        netns.call_in(source, socket.socket) as made,
        contextlib.suppress(ConnectionRefusedError),
    ):
        made.settimeout(PATIENCE)
        made.connect((NODE_ADDRESS, 8080))
        return False
    return True


def test_a_host_that_publishes_no_more_lets_nobody_to_what_listens_on_localhost_alone(
    workers: list[Worker],
) -> None:
    """As long as one of its ports is published, a table guards what route_localnet opens."""
    first, everything = workers[0], items(workers)
    unpublished = [each for each in everything if getattr(each, "network_id", "") != "in"]
    for publishes in (True, False):
        tell([first], everything if publishes else unpublished)
        first.data_path.join(A)
        words = ("nsenter", f"--net={first.host.path}", "sysctl", "-n")
        found = subprocess.run(
            [*words, "net.ipv4.conf.swb-gateway.route_localnet"],
            check=True,
            capture_output=True,
            text=True,
        )
        assert found.stdout.strip() == str(int(publishes))


def _tables(host: FabricHost) -> str:
    argv = ("nsenter", f"--net={host.path}", "nft", "list", "tables")
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_a_port_of_the_node_leads_to_its_own_task(workers: list[Worker]) -> None:
    tell(workers, items(workers))
    port = specs_pb2.PortConfig(target_port=80, published_port=8081)
    made = workers[0].data_path.join(Place("c", (), (port,)))
    with listening(made.path, port=80) as server:
        assert answers(workers[1].host.path, NODE_ADDRESS, 8081, server) == "10.99.0.2"
        assert unheard(workers[0].host.path, "10.99.0.2", 8081, server)


def test_a_port_that_goes_hides_nothing_that_is_left_of_others(workers: list[Worker]) -> None:
    tell(workers, items(workers))
    data_path = workers[0].data_path
    data_path.join(Place("c", (), (specs_pb2.PortConfig(target_port=80, published_port=8081),)))
    with data_path._outcome.a_round():
        data_path._outcome.failed(OSError("it stays"), stale=True)
    data_path.leave("c")
    assert data_path.stale
    assert data_path.trouble is not None
    data_path.converge()
    assert not data_path.stale
    assert data_path.trouble is None


def test_a_port_that_nobody_named_is_chosen_and_stays_over_a_restart(
    workers: list[Worker],
) -> None:
    tell(workers, items(workers))
    port = specs_pb2.PortConfig(target_port=80, mode=specs_pb2.PortConfig.PUBLISH_MODE_HOST)
    made = workers[0].data_path.join(Place("c", (), (port,)))
    (chosen,) = workers[0].data_path.ports("c")
    assert chosen.published_port in CHOSEN
    with listening(made.path, port=80) as server:
        assert answers(workers[1].host.path, NODE_ADDRESS, chosen.published_port, server)
        workers[0].restart(items(workers), Place("c", (), (chosen,)))
        assert answers(workers[1].host.path, NODE_ADDRESS, chosen.published_port, server)
    assert workers[0].data_path.ports("nobody") == ()


def test_a_lost_node_is_sent_nothing(workers: list[Worker]) -> None:
    a, b = joined(workers)
    with listening(b.path, port=80) as server:
        held = connected(a.path, VIRTUAL, 80)
        assert held is not None
        tell(workers[:1], items(workers, reached=1))
        assert unheard(a.path, VIRTUAL, 80, server)
        with held, pytest.raises(ConnectionError):
            held.recv(1)


def test_a_restart_changes_nothing_and_removes_what_was_left(workers: list[Worker]) -> None:
    a, b = joined(workers)
    with listening(b.path, port=80) as server:
        held = connected(a.path, VIRTUAL, 80)
        assert held is not None
        with held, server.accept()[0] as taken:
            before = [look(_name(each), "addr show") for each in (a.path, b.path)]
            workers[0].data_path._sandboxes.make("dead")
            workers[0].restart(items(workers), A)
            workers[1].restart(items(workers), B)
            assert [look(_name(each), "addr show") for each in (a.path, b.path)] == before
            taken.sendall(b"still here")
            assert held.recv(10) == b"still here"
        assert answers(a.path, VIRTUAL, 80, server) == "10.0.1.5"
        assert answers(workers[0].host.path, "10.99.0.2", 8080, server) == NODE_ADDRESS
    assert workers[0].data_path._sandboxes.all() == {"a": a.path}


def test_nothing_stays_of_a_task_that_has_ended(workers: list[Worker]) -> None:
    a, _ = joined(workers)
    links = look(workers[0].host.name, "-o link show")
    workers[0].data_path.leave("a")
    workers[0].data_path.leave("a")
    assert workers[0].data_path._sandboxes.all() == {}
    assert not netns.exists(_name(a.path))
    assert "swp" in links
    while "swp" in look(workers[0].host.name, "-o link show"):  # the kernel's own affair
        time.sleep(0.01)
    tell(workers, items(workers)[:-3])
    assert "swb-gateway" not in look(workers[0].host.name, "-o link show")


def test_a_node_that_leaves_its_swarm_is_as_it_was(workers: list[Worker]) -> None:
    asked = ("-br link show", "rule show", "route show table all")
    before = [look(workers[1].host.name, each) for each in asked]
    joined(workers)
    workers[1].data_path.clear()
    assert [look(workers[1].host.name, each) for each in asked] == before
    assert not netns.exists(f"{workers[1].host.name}-net-fabric")


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def ip(namespace: str, words: str) -> None:
    subprocess.run(["ip", "-n", namespace, *words.split()], check=True)


def test_a_look_mends_what_others_did_and_disturbs_no_connection(workers: list[Worker]) -> None:
    a, b = joined(workers)
    first, second = workers
    with listening(b.path, port=80) as server:
        held = connected(a.path, VIRTUAL, 80)
        outside = connected(second.host.path, NODE_ADDRESS, 8080)
        assert held is not None
        assert outside is not None
        with held, outside, server.accept()[0] as inner, server.accept()[0] as outer:
            for target in (first.host.path, a.path, b.path, second.host.path):
                NftCommand().run(Path(target), "flush ruleset")
            ip(_name(b.path), "rule del priority 100")
            ip(_name(b.path), "route flush table 4096")
            ip(first.host.name, "route flush table 4096")
            ip(first.host.name, "link set ing0 mtu 1300")
            subprocess.run(
                ["nsenter", f"--net={first.host.path}", "sysctl", "-qw", "net.ipv4.ip_forward=0"],
                check=True,
            )
            told = [first.data_path.survey().findings(()), second.data_path.survey().findings(())]
            assert {each.what for each in told[0]} == {
                "interface ing0 of this host is not as it ought to be",
                "table inet swarm-fabric is not as it ought to be",
                "rules, routes or settings of this host are not as they ought to be",
                "rules, routes or settings of task task are not as they ought to be",
            }
            assert any("4096" in each.found for each in told[1])
            for each in workers:
                assert each.data_path.heal() != []
                assert each.data_path.survey().findings(()) == []
                assert each.data_path.heal() == [], "nothing is left to be mended"
            for one, other in ((held, inner), (outside, outer)):
                one.sendall(b"still here")
                assert other.recv(10) == b"still here"
                other.sendall(b"and here")
                assert one.recv(8) == b"and here"
        assert answers(a.path, VIRTUAL, 80, server) == "10.0.1.5"
        assert answers(second.host.path, NODE_ADDRESS, 8080, server) == "10.99.0.2"


def test_links_that_others_deleted_come_back_with_all_that_stood_on_them(
    workers: list[Worker],
) -> None:
    a, b = joined(workers)
    ip(_name(b.path), "link del ing0")
    ip(f"{workers[0].host.name}-net-fabric", "link del vx4097")
    for each in workers:
        assert each.data_path.survey().findings(()) != []
        each.data_path.heal()
        assert each.data_path.survey().findings(()) == []
    with listening(b.path, port=80) as server:
        assert answers(a.path, VIRTUAL, 80, server) == "10.0.1.5"
        assert answers(workers[1].host.path, NODE_ADDRESS, 8080, server) == "10.99.0.2"


def test_ports_lead_over_links_that_were_made_anew_though_the_round_failed_then(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, b = joined(workers)
    elsewhere = items(workers)
    elsewhere[0].data_path_port = elsewhere[1].data_path_port = 4790  # type: ignore[union-attr]
    with monkeypatch.context() as patched:
        patched.setattr(Encrypted, "settle", _fails)
        for each in workers:
            each.data_path.follow(
                Message(type=Message.TYPE_COMPLETE, changes=map(change_of, elsewhere))
            )
            assert each.data_path.trouble is not None
    for each in workers:
        each.data_path.converge()
    with listening(b.path, port=80) as server:
        assert answers(workers[1].host.path, NODE_ADDRESS, 8080, server) == "10.99.0.2"


def _fails(_: object) -> NoReturn:
    raise OSError("it failed")


def test_others_are_asked_through_every_network(workers: list[Worker]) -> None:
    joined(workers)
    for each in workers:
        survey = each.data_path.survey()
        targets = survey.targets(())
        heard = ping.ask(reach.questions(targets))
        assert reach.judge(targets, heard, {}) == []
        assert len(reach.reached(targets, heard)) == 1
    networks = {target.network for target in workers[0].data_path.survey().targets(())}
    assert networks == {"", "front", "in"}
    ip(f"{workers[1].host.name}-net-fabric", "link set vx4097 down")
    survey = workers[0].data_path.survey()
    targets = survey.targets(("front",))
    (found,) = reach.judge(targets, ping.ask(reach.questions(targets)), survey.called())
    assert found.network == "front"
    assert "its host 10.99.0.2 answers" in found.why
