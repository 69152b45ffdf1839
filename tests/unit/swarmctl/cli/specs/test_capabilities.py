"""Capabilities: adding and dropping, on a fresh spec and on one that has some."""

import pytest

from api.v1 import specs_pb2
from swarmctl.cli.specs import capabilities


@pytest.mark.parametrize(
    ("present", "add", "drop", "after"),
    [
        (((), ()), ["net_admin"], ["CAP_CHOWN"], (["CAP_NET_ADMIN"], ["CAP_CHOWN"])),
        (((), ()), ["all"], [], (["ALL"], [])),
        (((), ()), ["CHOWN"], ["CHOWN"], (["CAP_CHOWN"], [])),
        ((("CAP_CHOWN",), ()), [], ["chown"], ([], ["CAP_CHOWN"])),
        (((), ("CAP_CHOWN",)), ["chown"], [], (["CAP_CHOWN"], [])),
        ((("CAP_CHOWN",), ("CAP_KILL",)), ["RESET", "KILL"], [], (["CAP_KILL"], [])),
        ((("CAP_CHOWN",), ("CAP_KILL",)), [], ["RESET"], (["CAP_CHOWN"], [])),
        ((("CAP_CHOWN",), ()), ["CHOWN"], [], (["CAP_CHOWN"], [])),
    ],
)
def test_changes(
    present: tuple[tuple[str, ...], tuple[str, ...]],
    add: list[str],
    drop: list[str],
    after: tuple[list[str], list[str]],
) -> None:
    container = specs_pb2.ContainerSpec(cap_add=present[0], cap_drop=present[1])
    capabilities.change(container, add, drop)
    assert (list(container.cap_add), list(container.cap_drop)) == after
