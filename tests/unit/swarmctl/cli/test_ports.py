"""The column PORTS: neighbours are joined, hosts' own ports are left to their tasks."""

import pytest

from api.v1 import specs_pb2
from swarmctl.cli.ports import held, published
from swarmctl.cli.specs.elements import port


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        ([], ""),
        (["8080:80"], "*:8080->80/tcp"),
        (["8001:81", "8000:80"], "*:8000-8001->80-81/tcp"),
        (["8000:80", "8002:82"], "*:8000->80/tcp, *:8002->82/tcp"),
        (["8000:80", "8001:90"], "*:8000->80/tcp, *:8001->90/tcp"),
        (["53:53/udp", "53:53"], "*:53->53/tcp, *:53->53/udp"),
        (["published=80,target=80,mode=host"], ""),
    ],
)
def test_ports(texts: list[str], shown: str) -> None:
    endpoint = specs_pb2.EndpointSpec(ports=[port(text) for text in texts])
    assert published(endpoint.ports) == shown


def test_what_a_task_has_of_its_node() -> None:
    host = specs_pb2.PortConfig.PUBLISH_MODE_HOST
    given = [
        specs_pb2.PortConfig(mode=host, published_port=8081, target_port=81, host_ip="fd00::1"),
        specs_pb2.PortConfig(mode=host, published_port=8080, target_port=80),
        specs_pb2.PortConfig(mode=host, published_port=8081, target_port=81),
        specs_pb2.PortConfig(mode=host, target_port=82),
    ]
    assert held(given) == "*:8080-8081->80-81/tcp, [fd00::1]:8081->81/tcp"
