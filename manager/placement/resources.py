"""What a task asks of the node that it runs on: reservations, and cgroup controllers. Pure.

Reservations are what the scheduler counts; limits only need a kernel that can enforce them.
"""

from typing import NamedTuple

from api import states
from api.v1 import objects_pb2, specs_pb2


class Reservation(NamedTuple):
    """What a task holds on its node from being assigned until it has ended."""

    nano_cpus: int
    memory_bytes: int


def reservation(task: objects_pb2.Task) -> Reservation:
    """What the task reserves; zeros where it reserves nothing."""
    reserved = task.spec.resources.reservations
    return Reservation(reserved.nano_cpus, reserved.memory_bytes)


def holds_resources(task: objects_pb2.Task) -> bool:
    """Whether the task's reservation is taken on a node: it was placed, and has not ended there.

    A global service's task has its node before it is known whether it fits there.
    """
    return bool(task.node_id) and states.ASSIGNED <= task.status.state <= states.RUNNING


def needed_controllers(spec: specs_pb2.TaskSpec) -> frozenset[str]:
    """The cgroup controllers without which the task's limits would silently not hold.

    `swap` stands for the kernel's accounting of it.
    """
    resources = spec.resources
    needed: set[str] = set()
    if resources.limits.nano_cpus:
        needed.add("cpu")
    if resources.limits.memory_bytes:
        needed.add("memory")
    if resources.pids_limit:
        needed.add("pids")
    if spec.container.memory_swap_bytes > 0:
        needed.add("swap")
    return frozenset(needed)
