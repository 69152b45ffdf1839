"""What a node has to do when it is told which roots are trusted in its swarm now. Pure.

While one root takes the place of another both are trusted, and the one that signs is named first.
"""

from enum import Enum, auto

from api.certificates import certificates_in, is_issued_by
from api.errors import SwarmError
from api.identity import Credentials


class Wish(Enum):
    """What follows for the node's credentials."""

    NOTHING = auto()
    TRUST = auto()
    """Take over the roots; the certificate stays."""
    RENEW = auto()
    """Get a certificate of the root that signs now."""


def wish(present: Credentials, told: bytes) -> Wish:
    """What to do about these roots (PEM); nothing if they cannot be read, or none are named."""
    try:
        roots = certificates_in(told)
        if not roots:
            return Wish.NOTHING
        if not is_issued_by(present.certificate_pem, first_of(told)):
            return Wish.RENEW
        known = set(certificates_in(present.ca_pem))
    except SwarmError:
        return Wish.NOTHING
    return Wish.NOTHING if set(roots) == known else Wish.TRUST


def first_of(pem: bytes) -> bytes:
    """The first certificate of a PEM text, as it stands there."""
    head, end, _ = pem.partition(b"-----END CERTIFICATE-----")
    return head + end + b"\n"
