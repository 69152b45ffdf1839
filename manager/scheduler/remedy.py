"""What a remedy is: one change, by which a node would pass a filter that refuses it. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from api.v1 import objects_pb2
from manager.scheduler.nodes import NodeInfo
from manager.scheduler.volumes import Volumes

Node = objects_pb2.Node
Task = objects_pb2.Task


class Size(float, Enum):
    """How big a kind of change is, smallest first: what only adds, what asks for less, what takes
    something away, and what no command does. A fraction is added for how much it changes.
    """

    LABEL = 1
    UNPAUSE = 2
    PER_NODE = 3
    RESERVE_LESS = 4
    GENERIC_LESS = 5
    ACTIVATE = 6
    NO_CONSTRAINT = 7
    MOVE_HOLDER = 8
    ROLE = 9
    CONTROLLER = 10
    NO_LIMIT = 11
    COME_BACK = 12
    MOVE_DATA = 13
    OTHER_IMAGE = 14
    DRIVER = 15
    FORCE = 16


class About(Enum):
    """What the last word of a remedy's command is."""

    NODE = "the node"
    SERVICE = "the task's service"
    NAMED = "in the command already"


@dataclass(frozen=True)
class Remedy:
    """One change. `command`: words after swarmctl, none if no command does it."""

    text: str
    size: float
    command: tuple[str, ...] = ()
    about: About = About.SERVICE
    on_node: Callable[[Node], None] | None = None
    on_task: Callable[[Task], None] | None = None
    on_volumes: Callable[[Volumes], None] | None = None
    ends: str = ""  # id of a task that would leave the node


class Case(NamedTuple):
    """A task, a node that refuses it, what the node is called, and the tasks on it."""

    task: Task
    node: NodeInfo
    name: str
    there: Sequence[Task]
    succeeds: bool
    volumes: Volumes


Obstacle = list[Remedy]
"""Remedies for one thing that is in the way, of which one is enough; the smallest first."""
