"""What a look at networks means, in words; who is asked what. What it sees is made up here."""

from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from api.v1 import network_pb2, specs_pb2
from overlay_net.check.reach import Station
from overlay_net.fabric.hardware import GATEWAY_BRIDGE, hardware_address
from overlay_net.fabric.networks import Ground
from overlay_net.fabric.operations import MakeTunnel
from overlay_net.fabric.picture import Leg, LegKey, On, Picture, Tunnel
from overlay_net.fabric.plan import Look
from overlay_net.ingress.host import MARK
from worker.network_book import Book, Item
from worker.survey import MOST_ASKED, MOST_NAMES, Survey, digests, needed
from worker.task_place import Place

Endpoint = network_pb2.NetworkEndpoint
Network = network_pb2.NodeNetwork
Peer = network_pb2.NetworkPeer
Service = network_pb2.NetworkService

HOST, PATH = "/host", "/t1"
ITEMS: list[Item] = [
    Network(id="f", name="front", vni=5),
    Network(id="in", name="ingress", vni=4, ingress=True),
    Peer(node_id="me", data_path_address="192.0.2.1"),
    Peer(node_id="n2", data_path_address="192.0.2.2"),
    Service(network_id="f", service_id="s", name="web", virtual_ips=["10.0.1.2"]),
    Endpoint(network_id="f", task_id="t1", name="web.1.t1", node_id="me", service_id="s"),
]
PLACE = Place("t1", ("f",))


def leg(parent: str, name: str = "eth0") -> Leg:
    return Leg(On.TUNNEL, parent, 1450, frozenset({"10.0.1.5/24"}), name)


def key(path: str) -> LegKey:
    return LegKey(path, hardware_address(["10.0.1.5"]))


SEEN = Picture(legs={key(PATH): leg("vx5"), key(HOST): leg("vx4", "ing0")})


def remote(network: str, task: str, address: str, node: str = "n2", serving: bool = True) -> Item:
    return Endpoint(
        network_id=network,
        task_id=task,
        name=f"web.2.{task}",
        service_id="s",
        node_id=node,
        addresses=[f"{address}/24"],
        serving=serving,
    )


def survey(*more: Item, **changes: Any) -> Survey:
    book = Book()
    book.restore([*ITEMS, *more])
    ground = Ground("192.0.2.1", {"192.0.2.1": 1500})
    look = Look(SEEN, SEEN, changes.pop("steps", ()), changes.pop("settings", ()), ground)
    fields: dict[str, Any] = {"places": [(PLACE, PATH)], "look": look, "differences": {}} | changes
    return Survey("me", HOST, book, **fields)


def test_nothing_differs() -> None:
    assert survey().findings(()) == []
    assert survey(look=None).findings(()) == []
    assert survey(look=None).targets(()) == []


def test_links_are_told_with_their_network_and_others_left_out() -> None:
    made = survey(steps=[MakeTunnel(Tunnel("vx5", 5, "192.0.2.1", 4789, 1450))])
    (found,) = made.findings(())
    assert (found.network, found.what) == ("f", "tunnel vx5 is missing")
    assert made.findings(["f"]) == [found]
    assert made.findings(["in"]) == []


def test_rules_settings_and_name_servers_are_told_by_whose_they_are() -> None:
    made = survey(
        settings=["net/ipv4/ip_forward is 0 instead of 1"],
        differences={HOST: ["table inet x is not there"], PATH: [], "/gone": []},
    )
    host, task = made.findings((), [Path(PATH)])
    assert host.what == "rules, routes or settings of this host are not as they ought to be"
    assert host.found == "net/ipv4/ip_forward is 0 instead of 1; table inet x is not there"
    assert task.what == "rules, routes or settings of task web.1 are not as they ought to be"
    assert task.network == "f"


def test_a_network_that_cannot_be_built() -> None:
    error = SwarmError(Code.REFUSED, "front cannot be built", why="no address", remedy="give it")
    first, second = survey(refused={"f": error, GATEWAY_BRIDGE: error}).findings(())
    assert (first.network, first.what, first.why) == ("f", error.what, "no address")
    assert second.network == ""


def test_others_are_asked_by_the_underlay_and_through_each_network() -> None:
    made = survey(
        remote("f", "t2", "10.0.1.6"),
        remote("f", "t3", "10.0.1.7", serving=False),
        remote("f", "t4", "10.0.1.8", node="is down"),
        remote("in", "t2", "10.255.0.6"),
    )
    found = {each.network: each for each in made.targets(())}
    assert found[""].station == Station(HOST, source="192.0.2.1")
    assert found["f"].station == Station(PATH)
    assert found["in"].station == Station(HOST, "ing0", MARK)
    assert {name: each.addresses for name, each in found.items()} == {
        "": ("192.0.2.2",),
        "f": ("10.0.1.6",),
        "in": ("10.255.0.6",),
    }
    assert {name: each.mtu for name, each in found.items()} == {"": 1500, "f": 1450, "in": 1450}
    assert {each.network for each in made.targets(["in"])} == {"", "in"}


def test_name_servers_are_asked_for_services_of_their_own_networks() -> None:
    (asked,) = survey().questions(())
    assert (asked.whose, asked.path) == ("task web.1", PATH)
    assert asked.answers["web"] == {"10.0.1.2"}
    assert survey().questions(["in"]) == []
    many = [Service(network_id="f", service_id=str(n), name=f"s{n}") for n in range(MOST_NAMES)]
    places = [(Place(f"t{n}", ("f",)), f"/t{n}") for n in range(MOST_ASKED + 1)]
    found = survey(*many, places=places).questions(())
    assert (len(found), len(found[0].answers)) == (MOST_ASKED, MOST_NAMES)


def test_what_is_needed_of_others_on_the_host() -> None:
    port = specs_pb2.PortConfig(
        protocol=specs_pb2.PortConfig.PROTOCOL_UDP, target_port=53, published_port=5353
    )
    book = survey(Service(network_id="in", service_id="s", name="web", ports=[port])).book
    tcp = specs_pb2.PortConfig(target_port=53, published_port=5353)
    places = [Place("c1", (), (tcp,), lone=True), Place("t1", (), (port,))]
    made = needed(book, ["ing0"], 0, places, is_built=False)
    assert made.devices == ["ing0"]
    assert made.reached == (("udp", 4789),)
    assert set(made.opening) == {("udp", 4789)}
    assert made.published == {("udp", 5353)}
    assert not made.kept
    box = Place("c2", (), (port,), lone=True)
    assert needed(book, [], 0, [box], is_built=True).kept == {("udp", 5353)}
    assert made.vnis == {5: "front", 4: "ingress"}
    assert needed(book, [], 7000, [], is_built=True).reached == (("udp", 7000),)
    assert needed(book, [], 7000, [], is_built=True).opening == {}


def test_digests_are_of_what_was_told_in_whatever_order() -> None:
    other = Book()
    other.restore(reversed(ITEMS))
    assert digests(survey().book) == digests(other)
    assert set(digests(other)) == {"", "f", "in"}
    assert digests(Book()) == {}
