"""Ports of the host: which a container that is no task may ask for."""

import pytest

from api.errors import SwarmError
from worker.standalone.ports import Port, check


def test_a_port_of_every_node_is_none_of_a_container() -> None:
    own = Port(target_port=80, mode=Port.PUBLISH_MODE_HOST)
    check([own])
    with pytest.raises(SwarmError, match="its own host alone"):
        check([own, Port(target_port=80)])
