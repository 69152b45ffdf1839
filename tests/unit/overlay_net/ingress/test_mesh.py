"""Published ports in real namespaces: nodes, tasks and a client behind a router."""

import contextlib
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from itertools import product

import pytest

from api.errors import SwarmError
from api.v1 import specs_pb2
from hostkit import netns
from overlay_net.ingress.ports import Port
from overlay_net.ingress.shell import Ingress
from overlay_net.ingress.task import Task
from overlay_net.nft import LibNft
from tests.support import wires
from tests.support.mesh import CLIENT, CLIENT6, POOLS, PUBLISHED, MeshLab, address, leg, mac
from tests.support.wires import Wires

pytestmark = pytest.mark.root

Config = specs_pb2.PortConfig


@pytest.fixture
def lab() -> Iterator[MeshLab]:
    """Three nodes; a task on the second and one on the third."""
    net = Wires()
    with contextlib.closing(net):
        made = MeshLab(net, nodes=(1, 2, 3), tasks={22: 2, 33: 3})
        with contextlib.closing(made.nft):
            yield made


@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
def test_every_node_answers_and_tasks_see_the_client(lab: MeshLab, udp: bool, six: bool) -> None:
    lab.tell(lab.mesh([22, 33]))
    answers = Counter(lab.ask(node, udp=udp, six=six) for node in (1, 1, 2, 2, 3, 3))
    seen = CLIENT6 if six else CLIENT
    assert answers == {("t22", seen): 3, ("t33", seen): 3}


def test_one_client_port_through_all_nodes_to_one_task(lab: MeshLab) -> None:
    lab.tell(lab.mesh([22]))
    streams = [
        lab.net.hold(lab.client, f"10.97.0.{node}", PUBLISHED, source=(CLIENT, port))
        for port in (4001, 4002, 4003)
        for node in (1, 2, 3)
    ]
    assert {wires.said(stream) for stream in streams} == {("t22", CLIENT)}
    assert all(wires.echoes(stream, b"x" * 60_000) for stream in streams)


def test_a_sticky_service_gives_a_client_one_task_through_every_node(lab: MeshLab) -> None:
    lab.tell(lab.mesh([22, 33], sticky=True))
    assert len({lab.ask(node) for node in (1, 2, 3, 1, 2, 3)}) == 1


def test_nodes_beyond_255_and_many_of_them(lab: MeshLab) -> None:
    lab.add_node(300)
    lab.tell(lab.mesh([22]))
    many = [f"02:42:0a:ff:{n // 256:02x}:{n % 256:02x}" for n in range(1, 2000)]
    lab.ingress.apply_task(lab.task(22), many)
    assert lab.ask(300) == ("t22", CLIENT)
    assert lab.ask(300, udp=True, six=True) == ("t22", CLIENT6)
    assert lab.ask(2) == ("t22", CLIENT)


def test_sctp_is_led_to_the_task_too(lab: MeshLab) -> None:
    """The kernel may lack SCTP sockets: a chunk is made by hand, and looked for on the task's
    leg.
    """
    config = Config(protocol=Config.PROTOCOL_SCTP, target_port=80, published_port=PUBLISHED)
    lab.tell(lab.mesh([22], config=config))

    def raw() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP)

    with (
        netns.call_in(lab.client, raw) as sender,
        netns.call_in(lab.tasks[22].path, raw) as receiver,
    ):
        receiver.settimeout(wires.PATIENCE)
        init = struct.pack(">BBHIIHHI", 1, 0, 20, 7, 65536, 1, 1, 1)
        head = struct.pack(">HHI", 4001, PUBLISHED, 0)
        checksum = struct.pack("<I", crc32c(head + b"\0\0\0\0" + init))
        sender.sendto(head + checksum + init, ("10.97.0.1", 0))
        packet = receiver.recv(1000)
    assert socket.inet_ntoa(packet[12:16]) == CLIENT
    assert struct.unpack(">HH", packet[20:24]) == (4001, 80)


def crc32c(data: bytes) -> int:
    """RFC 4960, appendix B."""
    found = 0xFFFFFFFF
    for byte in data:
        found ^= byte
        for _ in range(8):
            found = found >> 1 ^ (0x82F63B78 if found & 1 else 0)
    return found ^ 0xFFFFFFFF


def test_a_node_that_a_task_was_not_told_of_yet_costs_a_client_one_more_try(lab: MeshLab) -> None:
    lab.tell(lab.mesh([22]))
    lab.ingress.apply_task(lab.task(22), map(mac, (2, 3)))
    with wires.datagrams(lab.client, "10.97.0.1", PUBLISHED) as flow:
        flow.send(b"?")
        lab.ingress.apply_task(lab.task(22), map(mac, lab.hosts))
        flow.send(b"?")
        assert wires.said(flow) == ("t22", CLIENT)


@pytest.mark.parametrize("six", [False, True])
def test_tasks_are_neighbours_in_the_ingress_network(lab: MeshLab, six: bool) -> None:
    lab.tell(lab.mesh([22]))
    assert wires.ask(lab.tasks[22].path, leg(33, six=six)) == ("t33", leg(22, six=six))


def test_through_the_tunnels_of_a_fabric() -> None:
    """Interfaces stand on the tunnel, which answers for those elsewhere; more than fits a frame."""
    net = Wires()
    with contextlib.closing(net):
        lab = MeshLab(net, nodes=(1, 2, 300), tasks={22: 2, 33: 2}, tunnels=True)
        with contextlib.closing(lab.nft):
            lab.tell(lab.mesh([22, 33]))
            for node, six in product((1, 2, 300), (False, True)):
                held = net.hold(lab.client, address(node, six=six), PUBLISHED)
                assert wires.said(held)[1] == (CLIENT6 if six else CLIENT)
                assert wires.echoes(held, b"x" * 200_000)
                assert lab.ask(node, udp=True, six=six)[1] == (CLIENT6 if six else CLIENT)
            assert wires.ask(lab.tasks[22].path, leg(33)) == ("t33", leg(22))


def test_a_leg_that_is_made_anew(lab: MeshLab) -> None:
    lab.tell(lab.mesh([22]))
    for place in (lab.tasks[22], lab.tasks[33]):
        lab.net.ip(place.path, "link del ing0")
        lab.add_leg(place.path, place.number, place.node)
    lab.tell(lab.mesh([22]), look=True)
    assert {lab.ask(node) for node in (1, 2, 3)} == {("t22", CLIENT)}


def test_a_task_without_a_leg_is_an_error_that_says_so(lab: MeshLab) -> None:
    missing = Task(lab.tasks[22].path, "ing7", POOLS)
    with pytest.raises(SwarmError, match=r"answers back failed: .*no device ing7"):
        lab.ingress.apply_task(missing, map(mac, lab.hosts))


def test_a_node_that_publishes_nothing_more(lab: MeshLab) -> None:
    lab.tell(lab.mesh([22]))
    lab.ingress.remove_node(lab.node(1))
    with pytest.raises(ConnectionRefusedError):
        lab.ask(1)
    for device in ("ing0", "swb-gateway"):
        assert wires.read(lab.hosts[1], f"ipv4/conf/{device}/route_localnet") == "0"
    lab.tell(lab.mesh([22]))
    assert lab.ask(1) == ("t22", CLIENT)


def test_a_port_without_tasks_refuses_at_once(lab: MeshLab) -> None:
    lab.tell(lab.mesh([]))
    with pytest.raises(ConnectionRefusedError):
        lab.ask(1)
    with pytest.raises(ConnectionRefusedError):
        lab.ask(1, udp=True)


def test_the_node_itself_reaches_it_by_every_address_but_one(lab: MeshLab) -> None:
    lab.tell(lab.mesh([22]))
    host = lab.hosts[2]
    assert wires.ask(host, "127.0.0.1", PUBLISHED) == ("t22", "10.255.0.2")
    assert wires.ask(host, "10.97.0.2", PUBLISHED) == ("t22", "10.97.0.2")
    assert wires.ask(host, "10.97.0.1", PUBLISHED) == ("t22", "10.97.0.2")
    assert wires.ask_datagram(host, "127.0.0.1", PUBLISHED) == ("t22", "10.255.0.2")
    assert wires.ask_datagram(host, "10.97.0.2", PUBLISHED) == ("t22", "10.97.0.2")
    with pytest.raises(ConnectionRefusedError):
        wires.ask(host, "::1", PUBLISHED)


def test_containers_reach_their_own_node_s_ports_and_so_themselves(lab: MeshLab) -> None:
    lab.tell(lab.mesh([22]))
    assert wires.ask(lab.tasks[22].path, "10.97.0.2", PUBLISHED) == ("t22", "10.255.0.2")
    assert wires.ask(lab.tasks[33].path, "10.97.0.3", PUBLISHED) == ("t22", "10.255.0.3")


def test_a_neighbour_does_not_reach_what_listens_on_localhost_alone(lab: MeshLab) -> None:
    lab.tell(lab.mesh([22]))

    def listen() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("", 2375))
        return made

    def wire() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        made.bind(("ing0", 0))
        return made

    with (
        netns.call_in(lab.hosts[1], listen) as listener,
        netns.call_in(lab.tasks[22].path, wire) as frames,
    ):
        listener.settimeout(wires.PATIENCE)
        frames.send(datagram_frame("127.0.0.1", 2375, b"to localhost"))
        frames.send(datagram_frame("10.255.0.1", 2375, b"to the leg"))
        assert listener.recv(100) == b"to the leg"


def datagram_frame(to: str, port: int, payload: bytes) -> bytes:
    """From task 22 to node 1, whatever address stands on it."""
    link = bytes.fromhex((mac(1) + mac(22)).replace(":", "")) + b"\x08\x00"
    ends = socket.inet_aton("10.255.0.22") + socket.inet_aton(to)
    length = 28 + len(payload)
    head = struct.pack(">BBHHHBBH", 0x45, 0, length, 1, 0, 64, socket.IPPROTO_UDP, 0) + ends
    total = sum(struct.unpack(">10H", head))
    checksum = ~(total + (total >> 16)) & 0xFFFF
    head = head[:10] + struct.pack(">H", checksum) + head[12:]
    return link + head + struct.pack(">HHHH", 5000, port, length - 20, 0) + payload


def test_a_hidden_port_shows_the_node(lab: MeshLab) -> None:
    hidden = Config(target_port=80, published_port=PUBLISHED, source=Config.SOURCE_SNAT)
    lab.tell(lab.mesh([22], config=hidden))
    assert lab.ask(1) == ("t22", "10.255.0.1")
    assert lab.ask(2) == ("t22", "10.255.0.2")
    lab.tell(lab.mesh([22]))
    assert lab.ask(1) == ("t22", CLIENT)


def test_a_port_of_one_address(lab: MeshLab) -> None:
    lab.net.ip(lab.hosts[1], "addr add 10.97.0.100/24 dev eth0")
    one = Config(target_port=80, published_port=PUBLISHED, host_ip="10.97.0.100")
    lab.tell(lab.mesh([22], config=one))
    assert wires.ask(lab.client, "10.97.0.100", PUBLISHED) == ("t22", CLIENT)
    with pytest.raises(ConnectionRefusedError):
        lab.ask(1)


def test_a_port_of_mode_host_is_its_own_task_s(lab: MeshLab) -> None:
    own = Port("tcp", 9000, 80, ("172.18.0.22",))
    lab.ingress.apply_node(lab.node(2), lab.mesh([], own=[own]))
    assert wires.ask(lab.client, "10.97.0.2", 9000) == ("t22", CLIENT)
    assert wires.ask(lab.hosts[2], "127.0.0.1", 9000) == ("t22", "172.18.0.1")
    assert wires.ask(lab.tasks[22].path, "10.97.0.2", 9000) == ("t22", "172.18.0.1")
    with pytest.raises(ConnectionRefusedError):
        wires.ask(lab.client, "10.97.0.3", 9000)


def test_a_task_that_stops_keeps_its_connections(lab: MeshLab) -> None:
    lab.tell(lab.mesh([22]))
    held = lab.net.hold(lab.client, "10.97.0.1", PUBLISHED)
    assert wires.said(held)[0] == "t22"
    lab.tell(lab.mesh([33], stopping=[22]))
    assert lab.ask(1)[0] == lab.ask(1)[0] == "t33"
    assert wires.echoes(held)


def test_the_connections_of_a_lost_task_end_and_others_go_on(lab: MeshLab) -> None:
    lab.tell(lab.mesh([22, 33]))
    held: dict[str, socket.socket] = {}
    for _ in range(2):
        stream = lab.net.hold(lab.client, "10.97.0.1", PUBLISHED)
        held[wires.said(stream)[0]] = stream
    lab.lose_node(2)
    lab.tell(lab.mesh([33]))
    with pytest.raises(ConnectionError):
        wires.echoes(held["t22"])
    assert wires.echoes(held["t33"])
    assert lab.ask(1) == ("t33", CLIENT)


def test_a_client_whose_node_was_lost_comes_through_another_with_the_same_port(
    lab: MeshLab,
) -> None:
    lab.tell(lab.mesh([33]))
    wires.said(lab.net.hold(lab.client, "10.97.0.1", PUBLISHED, source=(CLIENT, 4001)))
    assert wires.established(lab.tasks[33].path) == 1
    lab.lose_node(1)
    lab.tell(lab.mesh([33]))
    assert wires.established(lab.tasks[33].path) == 0  # the task waits for nobody who is gone
    again = lab.net.hold(lab.client, "10.97.0.2", PUBLISHED, source=(CLIENT, 4001))
    assert wires.said(again) == ("t33", CLIENT)


def test_a_node_joins_while_the_mesh_is_busy(lab: MeshLab) -> None:
    lab.tell(lab.mesh([22]))
    held = lab.net.hold(lab.client, "10.97.0.3", PUBLISHED)
    wires.said(held)
    lab.add_node(4)
    lab.add_task(44, 4)
    lab.tell(lab.mesh([22, 44]))
    answers = Counter(lab.ask(node) for node in (4, 4, 1, 1))
    assert answers == {("t22", CLIENT): 2, ("t44", CLIENT): 2}
    assert wires.echoes(held)


def test_another_daemon_changes_nothing_and_mends_what_was_missed(lab: MeshLab) -> None:
    lab.tell(lab.mesh([22, 33]))
    held: dict[str, socket.socket] = {}
    for _ in range(2):
        stream = lab.net.hold(lab.client, "10.97.0.1", PUBLISHED)
        held[wires.said(stream)[0]] = stream
    with contextlib.closing(LibNft()) as nft:
        watched = [lab.hosts[1], lab.tasks[22].path]
        before = [nft.ask(path, "list ruleset") for path in watched]
        lab.ingress = Ingress(nft)
        lab.tell(lab.mesh([22, 33]))
        assert [nft.ask(path, "list ruleset") for path in watched] == before
        assert all(wires.echoes(stream) for stream in held.values())
        lab.ingress = Ingress(nft)
        lab.tell(lab.mesh([33]))
        with pytest.raises(ConnectionError):
            wires.echoes(held["t22"])
        assert wires.echoes(held["t33"])


def test_a_task_without_a_way_out_is_published_and_still_has_none(lab: MeshLab) -> None:
    task = lab.tasks[22].path
    lab.net.ip(task, "route del default", "link del gw")
    lab.tell(lab.mesh([22]))
    lab.ingress.apply_task(Task(task, "ing0", POOLS), map(mac, lab.hosts))
    for udp in (False, True):
        assert lab.ask(1, udp=udp) == ("t22", CLIENT)
    with pytest.raises(OSError, match="unreachable"):
        wires.ask(task, "10.98.0.5", 80)
