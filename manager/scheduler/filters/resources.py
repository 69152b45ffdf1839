"""Filters for what tasks reserve: CPU, memory, and what a node's owner declared of it."""

from collections.abc import Sequence

from api.v1 import objects_pb2
from manager.scheduler.filters.base import counted, shortage
from manager.scheduler.nodes import NodeInfo

_CPU = 1_000_000_000
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class CpuFilter:
    """As much CPU is unreserved as the task reserves."""

    name = "cpu"
    lasting = False

    def __init__(self) -> None:
        self._wanted = 0

    def enabled(self, task: objects_pb2.Task) -> bool:
        """If the task reserves CPU."""
        self._wanted = task.spec.resources.reservations.nano_cpus
        return self._wanted > 0

    def passes(self, node: NodeInfo) -> bool:
        """Whether the node has so much left."""
        return node.free_nano_cpus >= self._wanted

    def explain(self, refused: Sequence[NodeInfo]) -> str:
        """Why these nodes were refused, with what the best of them has."""
        most = max(node.free_nano_cpus for node in refused)
        numbers = shortage(_cpus(self._wanted), _cpus(most), refused)
        return f"insufficient CPU on {counted(refused)}: {numbers}"

    def verdict(self, node: NodeInfo) -> str:
        """What is needed, and how much of the node's is free."""
        free, all_of_it = _cpus(node.free_nano_cpus), _cpus(node.nano_cpus)
        unit = "CPU" if self._wanted == _CPU else "CPUs"
        return f"needs {_cpus(self._wanted)} {unit}; {free} of {all_of_it} free"


class MemoryFilter:
    """As much memory is unreserved as the task reserves."""

    name = "memory"
    lasting = False

    def __init__(self) -> None:
        self._wanted = 0

    def enabled(self, task: objects_pb2.Task) -> bool:
        """If the task reserves memory."""
        self._wanted = task.spec.resources.reservations.memory_bytes
        return self._wanted > 0

    def passes(self, node: NodeInfo) -> bool:
        """Whether the node has so much left."""
        return node.free_memory_bytes >= self._wanted

    def explain(self, refused: Sequence[NodeInfo]) -> str:
        """Why these nodes were refused, with what the best of them has."""
        most = max(node.free_memory_bytes for node in refused)
        numbers = shortage(_size(self._wanted), _size(most), refused)
        return f"insufficient memory on {counted(refused)}: {numbers}"

    def verdict(self, node: NodeInfo) -> str:
        """What is needed, and how much of the node's is free."""
        free, all_of_it = _size(node.free_memory_bytes), _size(node.memory_bytes)
        return f"needs {_size(self._wanted)}; {free} of {all_of_it} free"


class GenericFilter:
    """As many of each kind are free as the task reserves."""

    name = "generic"
    lasting = False

    def __init__(self) -> None:
        self._wanted: list[tuple[str, int]] = []

    def enabled(self, task: objects_pb2.Task) -> bool:
        """If the task reserves generic resources."""
        generic = task.spec.resources.reservations.generic
        self._wanted = [(each.kind, each.count) for each in generic]
        return bool(self._wanted)

    def passes(self, node: NodeInfo) -> bool:
        """Whether the node has enough left of every kind."""
        return not self._lacking(node)

    def explain(self, refused: Sequence[NodeInfo]) -> str:
        """Why these nodes were refused, by the first kind of which each has too few."""
        texts = []
        for kind, count in self._wanted:
            nodes = [node for node in refused if self._lacking(node) == kind]
            if nodes:
                most = max(0, *(node.free_generic(kind) for node in nodes))
                numbers = shortage(str(count), str(most), nodes)
                texts.append(f"insufficient {kind} on {counted(nodes)}: {numbers}")
        return "; ".join(texts)

    def verdict(self, node: NodeInfo) -> str:
        """What is needed of each kind, and how much is free."""
        return "; ".join(
            f"needs {count} {kind}, {max(0, node.free_generic(kind))} free"
            for kind, count in self._wanted
        )

    def _lacking(self, node: NodeInfo) -> str:
        for kind, count in self._wanted:
            if node.free_generic(kind) < count:
                return kind
        return ""


def _cpus(nanos: int) -> str:
    return f"{max(0, nanos) / _CPU:.4g}"


def _size(count: int) -> str:
    value, units = float(max(0, count)), iter(_UNITS)
    unit = next(units)
    while value >= 1024 and unit != _UNITS[-1]:  # noqa: PLR2004
        value, unit = value / 1024, next(units)
    return f"{value:.4g}{unit}"
