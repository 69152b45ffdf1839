"""What is noted of the keys of a node: by them it is known again when its root is trusted no more.

Whoever has stolen a root's key can make certificates of that root, but not the keys of nodes. Pure.
"""

from collections.abc import Sequence

from api.certificates import digest_of, issuer_of, key_digest_of
from api.v1 import objects_pb2
from manager.ca.roots import trusted

MOST_KEYS = 4
"""Of a node: the one that it came with last, and the latest that were signed since. A node whose
answers were lost more often in a row renews again before it is away for long.
"""


def signed(present: Sequence[bytes], key: bytes) -> list[bytes]:
    """The keys of a node once a certificate for `key` (a digest) was signed."""
    if key in present:
        return list(present)
    return [*present[:1], *present[1:][-(MOST_KEYS - 2) :], key]


def came_with(present: objects_pb2.NodeCertificate, shown: objects_pb2.NodeCertificate) -> None:
    """Makes `present` what is known once the node came with the certificate `shown`.

    What was signed before that one is of no use to the node any more.
    """
    (key,) = shown.keys
    known = list(present.keys)
    since = known[known.index(key) + 1 :] if key in known else known[1:]
    present.root = shown.root
    present.keys[:] = [key, *since]


def shown_by(root: objects_pb2.RootCa, certificate: bytes) -> objects_pb2.NodeCertificate:
    """What there is to note of a certificate (PEM) that a node came with."""
    issuer = issuer_of(certificate, trusted(root))
    return objects_pb2.NodeCertificate(
        root=b"" if issuer is None else digest_of(issuer), keys=[key_digest_of(certificate)]
    )
