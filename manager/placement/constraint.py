"""Placement constraints: what a service may ask of the nodes that its tasks run on. Pure.

A service has any number of them, and all must be met: `node.labels.rack==a`, `node.role!=manager`.
One may have alternatives, of which one has to hold: `node.role==worker|node.hostname==m1` (these
are ours, Swarm has none). Values compare with their case folded, and so do fixed keys; names of
labels do not. A label that a node lacks counts as empty (SwarmKit, manager/constraint).
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from api.v1 import objects_pb2, types_pb2
from manager.placement.platform import normalized

Node = objects_pb2.Node
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NODE_LABEL = "node.labels."
ENGINE_LABEL = "engine.labels."
PARSED = 4096
"""Constraints whose parsed form is remembered."""

_CLAUSE = re.compile(r"\s*(?P<key>[^\s=!<>~|]+)\s*(?P<operator>==|!=)\s*(?P<value>[^=!<>~|]+?)\s*")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[-A-Za-z0-9_./]*[A-Za-z0-9_])?")
_ROLES = {types_pb2.NODE_ROLE_WORKER: "worker", types_pb2.NODE_ROLE_MANAGER: "manager"}
_FIXED: dict[str, Callable[[Node], str]] = {
    "node.id": lambda node: node.id,
    "node.hostname": lambda node: node.description.hostname,
    "node.ip": lambda node: node.status.address,
    "node.role": lambda node: _ROLES.get(node.role, ""),
    "node.platform.os": lambda node: node.description.platform.os,
    "node.platform.arch": lambda node: normalized(node.description.platform.architecture),
}
KEYS = (*_FIXED, f"{NODE_LABEL}NAME", f"{ENGINE_LABEL}NAME")


@dataclass(frozen=True, slots=True)
class Clause:
    """One comparison: `read` finds in a node what is compared with `value`, or with `network`.

    `key` and `given` are what was written: a value compares with its case folded.
    """

    read: Callable[[Node], str]
    equal: bool
    value: str
    network: _Network | None = None
    key: str = ""
    given: str = ""

    def holds(self, node: Node) -> bool:
        """Whether the node is as the clause wants it."""
        found = self.read(node)
        same = found.lower() == self.value if self.network is None else _within(found, self.network)
        return same is self.equal


Constraint = tuple[Clause, ...]
"""Alternatives, one of which has to hold."""


def parse(text: str) -> Constraint:
    """The constraint that the text says; ValueError with what is wrong with it."""
    clauses = []
    for each in text.split("|"):
        match = _CLAUSE.fullmatch(each)
        if match is None:
            where = f"{each.strip()!r} in it" if "|" in text else "it"
            raise ValueError(f"{where} is not of the form KEY==VALUE or KEY!=VALUE")
        clauses.append(_clause(match["key"], match["operator"] == "==", match["value"]))
    return tuple(clauses)


@lru_cache(maxsize=PARSED)
def parsed(text: str) -> Constraint:
    """As `parse`; without alternatives, so never met, where the text is no constraint.

    No such text gets past the control service, but a log may hold one of another version.
    """
    try:
        return parse(text)
    except ValueError:
        return ()


def meets(node: Node, constraint: Constraint) -> bool:
    """Whether one of the alternatives holds."""
    return any(clause.holds(node) for clause in constraint)


def matches(constraints: Sequence[str], node: Node) -> bool:
    """Whether the node meets all of the constraints."""
    return all(meets(node, parsed(text)) for text in constraints)


def unmet(constraints: Iterable[str], node: Node) -> str:
    """The first constraint that the node does not meet; empty if there is none."""
    return next((text for text in constraints if not meets(node, parsed(text))), "")


def all_unmet(constraints: Iterable[str], node: Node) -> list[str]:
    """The constraints that the node does not meet."""
    return [text for text in constraints if not meets(node, parsed(text))]


def label_of(descriptor: str) -> Callable[[Node], str]:
    """Reads the label that `node.labels.X` or `engine.labels.X` names; ValueError for others."""
    for prefix, read in ((NODE_LABEL, _node_label), (ENGINE_LABEL, _engine_label)):
        if descriptor[: len(prefix)].lower() == prefix:
            name = descriptor[len(prefix) :]
            if not _LABEL.fullmatch(name):
                raise ValueError(f"{name!r} is no valid name of a label")
            return read(name)
    raise ValueError(f"{descriptor!r} names no label of nodes")


def _clause(key: str, equal: bool, value: str) -> Clause:
    name = key.lower()
    if name not in _FIXED:
        try:
            return Clause(label_of(key), equal, value.lower(), key=key, given=value)
        except ValueError as error:
            if name.startswith((NODE_LABEL, ENGINE_LABEL)):
                raise
            raise ValueError(f"no key {key!r}; known are: {', '.join(KEYS)}") from error
    read, folded = _FIXED[name], value.lower()
    network = _network(value) if name == "node.ip" else None
    if name == "node.role" and folded not in _ROLES.values():
        raise ValueError(f"no role {value!r}; nodes are: {', '.join(_ROLES.values())}")
    if name == "node.platform.arch":
        folded = normalized(folded)
    return Clause(read, equal, folded, network, key=name, given=value)


def _node_label(name: str) -> Callable[[Node], str]:
    return lambda node: node.spec.annotations.labels.get(name, "")


def _engine_label(name: str) -> Callable[[Node], str]:
    return lambda node: node.description.engine.labels.get(name, "")


def _network(value: str) -> _Network:
    try:
        return ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is neither an address nor a network as 10.0.0.0/8") from None


@lru_cache(maxsize=PARSED)
def _within(address: str, network: _Network) -> bool:
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False
