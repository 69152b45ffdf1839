"""Why a task cannot have a volume on a node: words for people, kinds for remedies. Pure."""

from enum import Enum
from typing import NamedTuple

from api.v1 import objects_pb2
from manager.placement.volumes import Want

Volume = objects_pb2.Volume


class Bar(Enum):
    """Why a task cannot have a volume on a node."""

    MISSING = "there is none"
    PENDING = "it cannot be used yet"
    UNAVAILABLE = "it takes no more tasks"
    WRITES = "it is only read"
    SHARED = "a task that is there does not share it"
    CLOSED = "the storage has shut the node out"
    HELD = "another node holds it"
    HOME = "its data is elsewhere"
    DRIVER = "the node lacks its driver"
    TOPOLOGY = "the node does not reach it"


class Hindrance(NamedTuple):
    """One bar, in words; `node_id`: of the node that holds it, or where it is at home."""

    bar: Bar
    text: str
    volume: Volume
    node_id: str = ""


def missing(want: Want) -> Hindrance:
    """What is wished for is not there at all."""
    if want.group:
        what = f"no volume of group {want.group}"
    else:
        what = f"no volume {want.name}" if want.name else f"volume {want.source} was removed"
    return Hindrance(Bar.MISSING, what, Volume())
