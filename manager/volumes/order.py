"""What a driver is to do about a volume, in short."""

from enum import Enum, auto
from typing import NamedTuple

from api.v1 import volume_pb2

Verb = volume_pb2.VolumeOrder.Verb

CREATE = volume_pb2.VolumeOrder.VERB_CREATE
DELETE = volume_pb2.VolumeOrder.VERB_DELETE
OPEN = volume_pb2.VolumeOrder.VERB_OPEN
CLOSE = volume_pb2.VolumeOrder.VERB_CLOSE
FENCE = volume_pb2.VolumeOrder.VERB_FENCE
SAVE = volume_pb2.VolumeOrder.VERB_SAVE
FILL = volume_pb2.VolumeOrder.VERB_FILL


class Outcome(Enum):
    """What is known of an order that was answered."""

    DONE = auto()
    UNDONE = auto()  # it failed, and nothing came of it
    UNKNOWN = auto()  # it failed, and what was begun may come about yet


class Order(NamedTuple):
    """One thing to do. `node_id`, `epoch`: of the hold that is meant, if it is about one.

    `transfer`: that it is for; then `node_id` is the node that has to do it.
    """

    volume_id: str
    verb: Verb.ValueType
    node_id: str = ""
    epoch: int = 0
    transfer: str = ""
