"""Which unlock key a cluster gets: one while it is locked, the same until it is rotated."""

import itertools
from collections.abc import Callable

import pytest

from api.errors import Code, SwarmError
from api.v1 import objects_pb2, specs_pb2
from manager.ca.unlock import settle

OLD, NEW = b"o" * 32, b"\x00" * 32


def secrets() -> Callable[[int], bytes]:
    numbers = itertools.count()
    return lambda size: bytes([next(numbers)]) * size


@pytest.mark.parametrize(
    ("autolock", "key", "rotate", "settled"),
    [
        (False, b"", False, b""),
        (True, b"", False, NEW),
        (True, b"", True, NEW),
        (True, OLD, False, OLD),
        (True, OLD, True, NEW),
        (False, OLD, False, b""),
    ],
)
def test_the_key_is_what_the_spec_asks_for(
    autolock: bool, key: bytes, rotate: bool, settled: bytes
) -> None:
    cluster = objects_pb2.Cluster(spec=specs_pb2.ClusterSpec(autolock=autolock), unlock_key=key)
    settle(cluster, secrets(), rotate=rotate)
    assert cluster.unlock_key == settled


@pytest.mark.parametrize("key", [b"", OLD])
def test_no_key_is_rotated_where_there_is_to_be_none(key: bytes) -> None:
    cluster = objects_pb2.Cluster(unlock_key=key)
    with pytest.raises(SwarmError, match="cannot be rotated") as refused:
        settle(cluster, secrets(), rotate=True)
    assert (refused.value.code, cluster.unlock_key) == (Code.REFUSED, key)
