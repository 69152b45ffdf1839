import pytest

from api.v1 import network_pb2, specs_pb2
from overlay_net.ingress import ports
from overlay_net.ingress.ports import Port
from tests.support.backends import gathered

Config = specs_pb2.PortConfig


def told(*configs: Config, sticky: bool = False) -> list[network_pb2.NetworkService]:
    return [network_pb2.NetworkService(service_id="s", name="web", ports=configs, sticky=sticky)]


ENDPOINTS = [
    network_pb2.NetworkEndpoint(service_id="s", addresses=["10.255.0.9/16"], serving=True),
    network_pb2.NetworkEndpoint(service_id="s", addresses=["10.255.0.8/16"], node_id="n2"),
]

BACKENDS = gathered(ENDPOINTS).backends()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (Config(target_port=80, published_port=8080), Port("tcp", 8080, 80, ("10.255.0.9",))),
        (
            Config(protocol=Config.PROTOCOL_UDP, target_port=53, published_port=53, host_ip="::"),
            Port("udp", 53, 53, ("10.255.0.9",)),
        ),
        (
            Config(
                protocol=Config.PROTOCOL_SCTP,
                target_port=1,
                published_port=2,
                host_ip="10.0.0.01".replace("01", "1"),
                source=Config.SOURCE_SNAT,
            ),
            Port("sctp", 2, 1, ("10.255.0.9",), host_ip="10.0.0.1", hidden=True),
        ),
    ],
)
def test_ports_of_services(config: Config, expected: Port) -> None:
    found = ports.mesh(told(config), BACKENDS)
    assert found.ports == (expected,)
    assert found.living == {"10.255.0.8", "10.255.0.9"}


def test_what_is_not_of_the_mesh_is_left_out() -> None:
    host = Config(target_port=80, published_port=80, mode=Config.PUBLISH_MODE_HOST)
    assert ports.mesh(told(host, Config(target_port=80)), BACKENDS).ports == ()


def test_a_node_s_own_ports_come_with_their_tasks() -> None:
    own = Port("tcp", 9000, 80, ("172.18.0.2",))
    found = ports.mesh(told(), gathered(ENDPOINTS, {"n2"}).backends(), own=[own])
    assert found.ports == (own,)
    assert found.living == {"10.255.0.9", "172.18.0.2"}


def test_stickiness_is_the_service_s() -> None:
    config = Config(target_port=80, published_port=80)
    assert ports.mesh(told(config, sticky=True), BACKENDS).ports[0].sticky
