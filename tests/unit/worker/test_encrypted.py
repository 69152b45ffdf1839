"""Encrypted networks in the kernel, by wireguard-go: what is on the wire, and what when it ends."""

import contextlib
import socket
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from api.errors import SwarmError
from api.v1 import dispatcher_pb2, network_pb2
from hostkit import netns
from overlay_net.encrypt.ends import address_of
from overlay_net.encrypt.guard import TABLE
from overlay_net.nft import LibNft
from tests.support.encrypting import (
    Now,
    carrier,
    device_name,
    encryption,
    kill_carrier,
    until_ended,
)
from tests.support.fabric_hosts import (
    PATIENCE,
    PREFIX,
    Datagrams,
    FabricHost,
    Talk,
    cut_off,
    ip,
    look,
    nft,
    reaches,
    underlay,
)
from tests.support.wire_tap import VXLAN, WIREGUARD, Wire
from worker.data_path import DataPath
from worker.executor import TemporaryError
from worker.network_book import Item, change_of
from worker.task_place import Place

pytestmark = pytest.mark.root

Message = dispatcher_pb2.AssignmentsMessage
WIRE = PREFIX + "wire"
PLACES = (Place("a", ("secret", "plain")), Place("b", ("secret", "plain")))
SECRET = ("10.0.1.5", "10.0.1.6")
PLAIN = ("10.0.2.5", "10.0.2.6")


@dataclass
class Worker:
    """A node: its host, and what its daemon does for networks."""

    host: FabricHost
    device: str
    folder: Path
    nft: LibNft
    now: Now
    data_path: DataPath = field(init=False)

    def __post_init__(self) -> None:
        self.data_path = self._fresh()

    def _fresh(self) -> DataPath:
        encrypts = encryption(self.nft, self.folder, self.host, self.device, self.now)
        prefix = f"{self.host.name}-net"
        return DataPath(self.host.name, self.nft, encrypts, host=self.host.path, prefix=prefix)

    def restart(self, told: list[Item]) -> None:
        self.data_path.close()
        self.data_path = self._fresh()
        self.data_path.recall(told, PLACES, ())
        self.data_path.converge(look=True)

    def peer(self) -> network_pb2.NetworkPeer:
        """As the managers tell of it, once it has told them."""
        means = self.data_path.means()
        return network_pb2.NetworkPeer(
            node_id=self.host.name,
            data_path_address=self.host.address,
            wireguard_key=means.key,
            wireguard_address=means.address,
            wireguard_port=means.port,
        )


@pytest.fixture
def workers(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[Worker]]:
    """Two, over IPv4, or over IPv6 if asked."""
    ipv6 = getattr(request, "param", False)
    with underlay(2, ipv6=ipv6) as laid, contextlib.ExitStack() as stack:
        nft = LibNft()
        stack.callback(nft.close)
        made = []
        for host in laid.hosts:
            device = device_name()
            stack.callback(kill_carrier, device)  # whatever the product makes of its end
            worker = Worker(host, device, tmp_path, nft, Now())
            stack.callback(lambda each=worker: each.data_path.clear())  # type: ignore[misc]
            worker.data_path.recall((), (), ())
            worker.data_path.converge(look=True)
            made.append(worker)
        yield made


def items(workers: list[Worker]) -> list[Item]:
    """Tasks a and b, one on each node, in an encrypted network and in one that is not."""
    told: list[Item] = [each.peer() for each in workers]
    for name, vni, subnet, addresses in (
        ("secret", 4097, "10.0.1.0/24", SECRET),
        ("plain", 4098, "10.0.2.0/24", PLAIN),
    ):
        network = network_pb2.NodeNetwork(
            id=name, name=name, driver="overlay", vni=vni, encrypted=name == "secret"
        )
        network.pools.add(subnet=subnet)
        told.append(network)
        for task, worker, address in zip("ab", workers, addresses, strict=True):
            told.append(
                network_pb2.NetworkEndpoint(
                    network_id=name,
                    task_id=task,
                    addresses=[f"{address}/24"],
                    node_id=worker.host.name,
                    name=f"t.{task}",
                )
            )
    return told


def tell(worker: Worker, told: list[Item]) -> None:
    worker.data_path.follow(Message(type=Message.TYPE_COMPLETE, changes=map(change_of, told)))


def joined(workers: list[Worker]) -> tuple[str, str]:
    """The sandboxes of both tasks."""
    told = items(workers)
    for each in workers:
        tell(each, told)
        assert each.data_path.trouble is None
    a, b = (w.data_path.join(p).path for w, p in zip(workers, PLACES, strict=True))
    return a, b


def test_nothing_is_seen_in_clear_and_other_networks_are_as_ever(workers: list[Worker]) -> None:
    a, b = joined(workers)
    with Wire(WIRE) as wire:
        with contextlib.closing(Talk(a, b, SECRET[1])) as talk:
            assert talk.goes_on()
        assert wire.ports() == {WIREGUARD}
        assert reaches(a, b, PLAIN[1])
        assert VXLAN in wire.ports()
    assert "mtu 1370" in look(_name(a), "link show eth0")
    assert "mtu 1440" in look(workers[0].host.name, f"link show {workers[0].device}")


def test_while_wireguard_is_gone_nothing_passes_and_then_it_does(workers: list[Worker]) -> None:
    a, b = joined(workers)
    with contextlib.closing(Talk(a, b, SECRET[1])) as talk, Wire(WIRE) as wire:
        assert carrier(workers[0].device)
        kill_carrier(workers[0].device)
        wire.frames()
        assert cut_off(a, b, SECRET[1])
        assert VXLAN not in wire.ports()
        assert reaches(a, b, PLAIN[1])
        wire.frames()
        workers[0].data_path.tend()
        assert talk.goes_on()
        assert wire.ports() == {WIREGUARD}


@pytest.mark.parametrize("workers", [True], indirect=True, ids=["IPv6"])
def test_a_frame_in_clear_is_not_heard(workers: list[Worker]) -> None:
    """Over IPv6, where the kernel itself does not tell the two kinds of tunnels apart."""
    _, b = joined(workers)
    with netns.call_in(b, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as hears:
        hears.bind(("", 7))
        hears.settimeout(PATIENCE)
        wire = str(netns.path(WIRE))
        ip(WIRE, "addr add fd99::ff/64 dev br0 nodad")
        target = workers[1].host.address
        _send_in_clear(wire, target, 4097, SECRET)
        _send_in_clear(wire, target, 4098, PLAIN)
        assert hears.recvfrom(99)[1][0] == PLAIN[0]
        hears.setblocking(False)
        with pytest.raises(BlockingIOError):
            hears.recv(99)
    with pytest.raises(PermissionError):
        _send_in_clear(workers[0].host.path, target, 4097, SECRET)


def _send_in_clear(at: str, host: str, vni: int, addresses: tuple[str, str]) -> None:
    """A datagram between the tasks, as somebody on the underlay would forge it."""
    source, target = (socket.inet_aton(address) for address in addresses)
    datagram = struct.pack("!HHHH", 7, 7, 8 + 4, 0) + b"ping"
    packet = struct.pack("!BxHxxxxBBxx4s4s", 0x45, 20 + len(datagram), 64, 17, source, target)
    checksum = 0xFFFF - sum(struct.unpack("!10H", packet)) % 0xFFFF
    packet = packet[:10] + struct.pack("!H", checksum) + packet[12:] + datagram
    frame = b"\x02\x42" + target + b"\x02\x42" + source + b"\x08\x00" + packet
    header = struct.pack("!BxxxI", 8, vni << 8)
    with netns.call_in(at, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as made:
        made.sendto(header + frame, (host, VXLAN))


def test_a_guard_that_was_flushed_is_put_back(workers: list[Worker]) -> None:
    joined(workers)
    nft(workers[0].host.name, "flush ruleset")
    workers[0].data_path.tend()
    assert TABLE in _tables(workers[0].host)
    assert workers[0].data_path.trouble is None


def test_a_port_that_somebody_has_is_told(workers: list[Worker]) -> None:
    told = items(workers)
    with netns.call_in(workers[0].host.path, lambda: socket.socket(type=socket.SOCK_DGRAM)) as own:
        own.bind(("", WIREGUARD))
        tell(workers[0], told)
        with pytest.raises(TemporaryError, match="51820/udp"):
            workers[0].data_path.join(PLACES[0])
    workers[0].data_path.converge(look=True)
    assert workers[0].data_path.join(PLACES[0]).path


def test_a_restart_leaves_flows_alone(workers: list[Worker]) -> None:
    a, b = joined(workers)
    with contextlib.closing(Talk(a, b, SECRET[1])) as talk:
        before = [carrier(each.device) for each in workers]
        told = items(workers)
        for each in workers:
            each.data_path.close()
        assert talk.goes_on()
        for each in workers:
            each.restart(told)
            assert each.data_path.trouble is None
        assert talk.goes_on()
        assert [carrier(each.device) for each in workers] == before


def test_a_key_is_replaced_while_connections_go_on(workers: list[Worker]) -> None:
    a, b = joined(workers)
    with contextlib.closing(Talk(a, b, SECRET[1])) as talk:
        old = workers[0].data_path.means().key
        workers[0].now.ahead = 8 * 86400.0
        workers[0].data_path.tend()
        new = workers[0].data_path.means().key
        assert new != old
        assert talk.goes_on(), "the old key is used until the managers tell of the new one"
        told = items(workers)
        for order in (workers, workers[::-1]):
            for each in order:
                tell(each, told)
                assert each.data_path.trouble is None
            assert talk.goes_on()
        workers[0].restart(told)
        assert workers[0].data_path.means().key == new
        assert talk.goes_on()


def test_no_datagram_is_lost_while_a_key_is_replaced(workers: list[Worker]) -> None:
    """The node itself changes first; what it sends until the other follows, waits.

    What the other has under way at the moment when it changes may go with the former key: that
    it has come by then is waited for.
    """
    a, b = joined(workers)
    assert reaches(a, b, SECRET[1])
    with Datagrams(a, b, SECRET[1]) as there, Datagrams(b, a, SECRET[0]) as back:
        workers[0].now.ahead = 8 * 86400.0
        workers[0].data_path.tend()
        told = items(workers)
        for each in workers:
            there.send(50)
            back.send(50)
            assert back.received() == 50
            tell(each, told)
        there.send(50)
        back.send(50)
        assert back.received() == 50
        assert there.received() == 150


def test_a_node_without_a_key_is_not_reached(
    workers: list[Worker], caplog: pytest.LogCaptureFixture
) -> None:
    told = items(workers)
    told[1] = network_pb2.NetworkPeer(
        node_id=workers[1].host.name, data_path_address=workers[1].host.address
    )
    tell(workers[0], told)
    a = workers[0].data_path.join(PLACES[0])
    assert f"no encrypted way to node {workers[1].host.name}" in caplog.text
    with Wire(WIRE) as wire:
        assert cut_off(a.path, a.path, SECRET[1])
        assert wire.ports() == set()


def test_a_host_that_cannot_encrypt_builds_none_and_says_why(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = items(workers)
    monkeypatch.setenv("PATH", "/nowhere")
    workers[0].restart([])
    assert "wireguard-go is not installed" in workers[0].data_path.means().missing
    tell(workers[0], told)
    with pytest.raises(SwarmError, match="cannot encrypt"):
        workers[0].data_path.join(PLACES[0])
    assert workers[0].data_path.join(Place("c", ())).path


def test_nothing_stays_when_the_node_leaves_its_swarm(workers: list[Worker]) -> None:
    asked = ("-br link show", "route show table all", "-6 route show table all")
    host = workers[1].host
    before = [look(host.name, each) for each in asked]
    joined(workers)
    assert address_of(host.name) in look(host.name, "-6 addr show")
    assert list(workers[1].folder.glob(f"{workers[1].device}*"))
    workers[1].data_path.clear()
    assert [look(host.name, each) for each in asked] == before
    assert TABLE not in _tables(host)
    assert not list(workers[1].folder.glob(f"{workers[1].device}*"))
    until_ended(workers[1].device)


def test_what_is_needed_no_more_goes(workers: list[Worker]) -> None:
    joined(workers)
    host, told = workers[0].host, items(workers)
    tell(workers[0], [each for each in told if getattr(each, "id", "") != "secret"])
    assert workers[0].device not in look(host.name, "-br link show")
    assert TABLE not in _tables(host)
    until_ended(workers[0].device)


def _tables(host: FabricHost) -> str:
    argv = ("nsenter", f"--net={host.path}", "nft", "list", "tables")
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def _name(path: str) -> str:
    return path.rpartition("/")[2]
