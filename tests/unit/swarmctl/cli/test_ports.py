"""The column PORTS: neighbours are joined, hosts' own ports are left to their tasks."""

import pytest

from api.v1 import specs_pb2
from swarmctl.cli.ports import published
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
