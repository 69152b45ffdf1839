"""Filters for what a node is: in touch, available, of the right platform, and so on."""

from collections.abc import Sequence

from api.v1 import objects_pb2, types_pb2
from manager.placement.platform import fits, platforms_for
from manager.placement.resources import needed_controllers
from manager.scheduler.filters.base import counted
from manager.scheduler.nodes import NodeInfo


class ReadyFilter:
    """The node's agent is in touch with a manager."""

    name = "ready"
    lasting = True

    def enabled(self, task: objects_pb2.Task) -> bool:
        """Always."""
        return True

    def passes(self, node: NodeInfo) -> bool:
        """Whether the node is ready."""
        return node.ready

    def explain(self, refused: Sequence[NodeInfo]) -> str:
        """Why these nodes were refused."""
        return f"{counted(refused)} {'is' if len(refused) == 1 else 'are'} not ready"

    def verdict(self, node: NodeInfo) -> str:
        """The node's state, and what is known of the reason for it."""
        status = node.node.status
        word = types_pb2.NodeState.Name(status.state).removeprefix("NODE_STATE_").lower()
        return f"{word}: {status.message}" if status.message and not node.ready else word


class AvailabilityFilter:
    """The node is neither paused nor drained."""

    name = "availability"
    lasting = True

    def enabled(self, task: objects_pb2.Task) -> bool:
        """Always."""
        return True

    def passes(self, node: NodeInfo) -> bool:
        """Whether the node's availability is active."""
        return node.active

    def explain(self, refused: Sequence[NodeInfo]) -> str:
        """Why these nodes were refused."""
        return f"{counted(refused)} not available for new tasks"

    def verdict(self, node: NodeInfo) -> str:
        """The node's availability."""
        name = types_pb2.NodeAvailability.Name(node.node.spec.availability)
        return name.removeprefix("NODE_AVAILABILITY_").lower()


class ControllerFilter:
    """The node's kernel can enforce the task's limits."""

    name = "controller"
    lasting = True

    def __init__(self) -> None:
        self._needed: frozenset[str] = frozenset()

    def enabled(self, task: objects_pb2.Task) -> bool:
        """If the task is limited."""
        self._needed = needed_controllers(task.spec)
        return bool(self._needed)

    def passes(self, node: NodeInfo) -> bool:
        """Whether no cgroup controller that a limit needs is missing."""
        return not self._needed & node.missing_controllers

    def explain(self, refused: Sequence[NodeInfo]) -> str:
        """Why these nodes were refused, with the controllers that any of them lacks."""
        missing = self._needed & frozenset().union(*(node.missing_controllers for node in refused))
        names = ", ".join(sorted(missing))
        return f"missing cgroup controller for the limits ({names}) on {counted(refused)}"

    def verdict(self, node: NodeInfo) -> str:
        """The controllers that the limits need, and those of them that the node lacks."""
        lacking = self._needed & node.missing_controllers
        needed = f"needs {', '.join(sorted(self._needed))}"
        return f"{needed}; {', '.join(sorted(lacking))} missing" if lacking else needed


class PlatformFilter:
    """The node's platform is one of those that the image was built for."""

    name = "platform"
    lasting = True

    def __init__(self) -> None:
        self._wanted: list[types_pb2.Platform] = []

    def enabled(self, task: objects_pb2.Task) -> bool:
        """If the task or its image names platforms."""
        self._wanted = list(platforms_for(task.spec))
        return bool(self._wanted)

    def passes(self, node: NodeInfo) -> bool:
        """Whether the node's platform is wanted."""
        return fits(self._wanted, node.node.description.platform)

    def explain(self, refused: Sequence[NodeInfo]) -> str:
        """Why these nodes were refused, with the platforms that would do."""
        return f"unsupported platform on {counted(refused)}: built for {self._built_for()}"

    def verdict(self, node: NodeInfo) -> str:
        """The platforms that would do, and the node's."""
        return f"built for {self._built_for()}; is {_platform(node.node.description.platform)}"

    def _built_for(self) -> str:
        return ", ".join(map(_platform, self._wanted))


class NetworkFilter:
    """The node can build the networks that the task is in, as far as it says which it can."""

    name = "network"
    lasting = True

    def __init__(self) -> None:
        self._needed: frozenset[str] = frozenset()

    def enabled(self, task: objects_pb2.Task) -> bool:
        """If the task is in any network."""
        self._needed = network_drivers(task)
        return bool(self._needed)

    def passes(self, node: NodeInfo) -> bool:
        """Whether the node has every driver, or says of none."""
        known = node.node.description.network_drivers
        return not known or self._needed <= set(known)

    def explain(self, refused: Sequence[NodeInfo]) -> str:
        """Why these nodes were refused, with the drivers that any of them lacks."""
        missing: set[str] = set()
        for node in refused:
            missing |= self._needed - set(node.node.description.network_drivers)
        return f"missing network driver ({', '.join(sorted(missing))}) on {counted(refused)}"

    def verdict(self, node: NodeInfo) -> str:
        """The drivers that are needed, and those of them that the node lacks."""
        needed = f"needs {', '.join(sorted(self._needed))}"
        missing = sorted(self._needed - set(node.node.description.network_drivers))
        return needed if self.passes(node) else f"{needed}; {', '.join(missing)} missing"


class EncryptionFilter:
    """The node encrypts, as the task's networks ask. One that does not say so does not."""

    name = "encryption"
    lasting = True

    def enabled(self, task: objects_pb2.Task) -> bool:
        """If the task is in an encrypted network."""
        return needs_encryption(task)

    def passes(self, node: NodeInfo) -> bool:
        """Whether the node has a key."""
        return bool(node.node.description.wireguard_key)

    def explain(self, refused: Sequence[NodeInfo]) -> str:
        """Why these nodes were refused, with what one of them says of it."""
        said = sorted({_missing(node) for node in refused})
        return f"no encryption on {counted(refused)}: {said[0]}"

    def verdict(self, node: NodeInfo) -> str:
        """By what the node encrypts, or why it does not."""
        if self.passes(node):
            return node.node.description.encrypted_by or "has a key"
        return f"none: {_missing(node)}"


def needs_encryption(task: objects_pb2.Task) -> bool:
    """Whether the task is in an encrypted network."""
    return any(each.encrypted for each in task.networks)


def _missing(node: NodeInfo) -> str:
    return node.node.description.encryption_missing or "the node says nothing of it"


def network_drivers(task: objects_pb2.Task) -> frozenset[str]:
    """The drivers of the networks that the task is in."""
    return frozenset(each.driver for each in task.networks if each.driver)


def _platform(platform: types_pb2.Platform) -> str:
    return f"{platform.os or 'any'}/{platform.architecture or 'any'}"
