"""Which ports a container that is no task may ask for. Pure."""

from collections.abc import Iterable

from api.errors import invalid
from api.v1 import specs_pb2

Port = specs_pb2.PortConfig


def check(ports: Iterable[Port]) -> None:
    """INVALID if one is not the host's own."""
    for index, port in enumerate(ports):
        if port.mode != Port.PUBLISH_MODE_HOST:
            raise invalid(
                f"ports[{index}].mode",
                "a container that is no task has ports on its own host alone",
                remedy="use mode=host",
            )
