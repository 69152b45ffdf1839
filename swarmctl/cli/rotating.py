"""How far the rotation of a root certificate is, by what the managers tell of nodes. Pure."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from api.v1 import objects_pb2, types_pb2

MOST_NAMES = 5


@dataclass
class Rotating:
    """One rotation, as it was last seen. `root`: the SHA-256 of the new root."""

    id: str
    root: bytes
    is_done: bool = False
    is_replaced: bool = False
    nodes: int = 0
    waiting: list[str] = field(default_factory=list)
    """Names of nodes that are up, and have no certificate of the new root yet."""
    away: list[str] = field(default_factory=list)
    """Names of nodes that are down, and will get theirs when they are back."""

    @classmethod
    def of(cls, cluster: objects_pb2.Cluster) -> "Rotating":
        """The rotation that is under way."""
        rotation = cluster.root_ca.rotation
        return cls(rotation.id, _digest(rotation.certificate_pem))

    def see(self, cluster: objects_pb2.Cluster, nodes: Iterable[objects_pb2.Node]) -> None:
        """Takes in the state of now.

        The nodes were read after the cluster: once that says that it is over, all have followed.
        """
        present = cluster.root_ca
        under_way = present.HasField("rotation") and present.rotation.id == self.id
        self.is_done = not under_way and _digest(present.certificate_pem) == self.root
        self.is_replaced = not under_way and not self.is_done
        self.nodes, self.waiting, self.away = 0, [], []
        for node in nodes:
            self.nodes += 1
            if node.certificate.root == self.root:
                continue
            name = node.description.hostname or node.id
            is_down = node.status.state == types_pb2.NODE_STATE_DOWN
            (self.away if is_down else self.waiting).append(name)


def summary(rotating: Rotating) -> str:
    """One line: how many nodes have followed, and which have not."""
    done = rotating.nodes - len(rotating.waiting) - len(rotating.away)
    text = f"{done} of {rotating.nodes} nodes have a certificate of the new root"
    if rotating.waiting and not rotating.is_done:
        text += f"; it waits for {_names(rotating.waiting)}"
    if rotating.away:
        text += f"; {_names(rotating.away)}: down, and will get theirs when they are back"
    return text


def _names(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _digest(pem: bytes) -> bytes:
    """SHA-256 of the certificate's DER, without the library that would cost start-up time."""
    lines = [line for line in pem.splitlines() if line and not line.startswith(b"-----")]
    return hashlib.sha256(base64.b64decode(b"".join(lines))).digest()
