from api.v1 import network_pb2
from overlay_net.encrypt.ends import address_of
from overlay_net.encrypt.picture import Device, Guard, Peer, Picture
from overlay_net.encrypt.wanted import Told, Wish, nodes_of, wish


def peer(number: int, **fields: object) -> network_pb2.NetworkPeer:
    made = network_pb2.NetworkPeer(
        node_id=f"n{number}",
        data_path_address=f"10.99.0.{number}",
        wireguard_key=bytes([number]) * 32,
        wireguard_address=address_of(f"n{number}"),
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def wished(*others: network_pb2.NetworkPeer, vnis: frozenset[int] = frozenset({4097})) -> Wish:
    told = Told(vnis, 4789, peer(1), others)
    return wish(told, "swarm-wg", key=b"k" * 32, port=51821, mtu=1440)


def test_without_encrypted_networks_nothing_is_wanted() -> None:
    assert wished(peer(2), vnis=frozenset()) == Wish(Picture(), {})


def test_peers_are_those_with_a_key() -> None:
    made = wished(peer(2), peer(3, wireguard_port=7), peer(4, wireguard_key=b""))
    assert made.picture == Picture(
        device=Device(b"k" * 32, 51821, address_of("n1"), 1440),
        peers={
            bytes([2]) * 32: Peer(bytes([2]) * 32, ("10.99.0.2", 51820), address_of("n2")),
            bytes([3]) * 32: Peer(bytes([3]) * 32, ("10.99.0.3", 7), address_of("n3")),
        },
        barred=True,
        guard=Guard("swarm-wg", 4789, frozenset({4097})),
    )
    assert list(made.unreached) == ["n4"]


def test_whoever_takes_anothers_key_or_address_is_not_reached() -> None:
    stolen = bytes([2]) * 32
    made = wished(
        peer(2), peer(3, wireguard_key=stolen), peer(4, wireguard_address=address_of("n5")), peer(5)
    )
    assert "same key" in made.unreached["n2"]
    assert "same key" in made.unreached["n3"]
    assert "not its own" in made.unreached["n4"]
    assert [each.address for each in made.picture.peers.values()] == []
    own = wished(peer(2, wireguard_key=bytes([1]) * 32))
    assert "same key" in own.unreached["n2"]


def test_who_is_in_encrypted_networks() -> None:
    front = network_pb2.NodeNetwork(id="front")
    ingress = network_pb2.NodeNetwork(id="in", ingress=True)
    endpoint = network_pb2.NetworkEndpoint(node_id="n2")
    peers = [peer(1), peer(3)]
    peers[1].ingress_addresses.append("10.255.0.3/16")
    assert nodes_of([front], [endpoint], peers) == {"n2"}
    assert nodes_of([ingress], [endpoint], peers) == {"n2", "n3"}
