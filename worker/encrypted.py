"""The encrypted networks of this node: what they need before they are built, and after. Blocks.

It puts `overlay_net.encrypt` to what the managers told, and decides nothing of its own.
"""

import logging
from collections.abc import Iterable

from api.errors import Code, SwarmError
from overlay_net.encrypt.encryption import Encryption
from overlay_net.encrypt.ends import address_of
from overlay_net.encrypt.wanted import Told, nodes_of
from worker.executor import TemporaryError
from worker.network_book import Book, Network, Peer
from worker.node_networks import Means

log = logging.getLogger(__name__)


class Encrypted:
    """Of the node of this id; `book` changes under it."""

    def __init__(self, node_id: str, book: Book, encryption: Encryption) -> None:
        self._node_id = node_id
        self._book = book
        self._encryption = encryption
        self._told: Told | None = None
        self._trouble: SwarmError | None = None

    @property
    def guarded(self) -> frozenset[int]:
        """The numbers of networks that may be built: their frames cannot be seen in clear."""
        return self._encryption.guarded

    def open(self) -> None:
        """Finds out what this host can do; never fails."""
        self._encryption.open()

    def prepare(self, me: Peer, port: int, *, look: bool) -> SwarmError | None:
        """Before networks are built; what went wrong, if the next try may go better.

        `port`: of VXLAN; `look`: believe the kernel, not the memory.
        """
        self._told, self._trouble = self._now(me, port), None
        try:
            self._encryption.prepare(self._told, look=look)
        except (SwarmError, OSError) as error:
            self._trouble = _known(error)
            return None if self._encryption.missing else self._trouble
        return None

    def settle(self) -> None:
        """After that: takes away what is needed no more. SwarmError or OSError if it cannot."""
        if self._told is not None and self._trouble is None:
            self._encryption.settle(self._told)

    def check(self, networks: Iterable[Network]) -> None:
        """Raises why tasks cannot be in one of these networks, if it is to be encrypted and is not.

        TemporaryError if the next try may go better.
        """
        error = self._trouble
        if error is None or not any(each.encrypted for each in networks):
            return
        if self._encryption.missing:
            raise error
        raise TemporaryError(error.code, error.what, why=error.why, remedy=error.remedy)

    def means(self) -> Means:
        """What the managers are to know of it; what is missing is looked for again."""
        encryption = self._encryption
        if encryption.missing:
            encryption.open()
        if encryption.missing:
            return Means(missing=encryption.missing)
        address, port = address_of(self._node_id), encryption.options.port
        return Means(encryption.public_key, address, port, encryption.title)

    def rotate(self, round: int = 0) -> bool:
        """Makes another key if the present one is old, or of an earlier round; whether it did."""
        try:
            rotated = self._encryption.rotate(round)
        except OSError as error:
            log.warning("this node's network key is old, and is not replaced: %s", error)
            return False
        if rotated:
            log.info("this node's network key is old: the managers are told of another")
        return rotated

    def is_whole(self) -> bool:
        """Whether what encrypts, and its guard, are still there if they are to be.

        SwarmError if that cannot be known.
        """
        whole = self._encryption.is_whole()
        if not whole:
            log.warning("%s or its guard is gone: it is put back", self._encryption.title)
        return whole

    def remove(self) -> None:
        """Nothing of it is left on this host, nor keys; the last call."""
        self._encryption.remove()

    def close(self) -> None:
        """Lets go of the host, and changes nothing."""
        self._encryption.close()

    def _now(self, me: Peer, port: int) -> Told:
        networks = [each for each in self._book.networks.values() if each.encrypted and each.vni]
        endpoints = (e for each in networks for e in self._book.endpoints(each.id).values())
        peers = self._book.peers
        nodes = nodes_of(networks, endpoints, peers.values()) - {self._node_id}
        others = tuple(peers[node] for node in sorted(nodes) if node in peers)
        return Told(frozenset(each.vni for each in networks), port, me, others)


def _known(error: SwarmError | OSError) -> SwarmError:
    if isinstance(error, SwarmError):
        return error
    return SwarmError(Code.INTERNAL, "networks are not encrypted", why=str(error))
