"""Join tokens: SWMTKN-1-DIGEST-SECRET, as Docker Swarm's. Pure: format, parse, compare.

The digest is the SHA-256 of the root certificate (DER), 50 characters of base 36: it lets a
joiner tell the cluster's root from an impostor's. The secret is 16 random bytes, 25 characters: it
lets the cluster tell a joiner from a stranger, and whether it comes as a worker or a manager.
"""

import hashlib
import hmac
from dataclasses import dataclass, field

from api.errors import SwarmError, invalid
from api.ids import ALPHABET, base36

PREFIX = "SWMTKN"
VERSION = "1"
SECRET_BYTES = 16
_DIGEST_BYTES = 32
_DIGEST_WIDTH = 50
_SECRET_WIDTH = 25
_REMEDY = "copy the whole token that `swarmctl swarm join-token worker` prints on a manager"


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A token taken apart: 32 bytes of digest, 16 bytes of secret. Its repr hides the secret."""

    digest: bytes
    secret: bytes = field(repr=False)

    def __str__(self) -> str:
        digest = base36(int.from_bytes(self.digest, "big"), _DIGEST_WIDTH)
        secret = base36(int.from_bytes(self.secret, "big"), _SECRET_WIDTH)
        return "-".join((PREFIX, VERSION, digest, secret))

    def is_of(self, root_der: bytes) -> bool:
        """Whether the token was made for the cluster with this root certificate."""
        return hmac.compare_digest(self.digest, hashlib.sha256(root_der).digest())


def new_token(root_der: bytes, secret_bytes: bytes) -> JoinToken:
    """The token for this root certificate; `secret_bytes`: 16 random bytes, else ValueError."""
    if len(secret_bytes) != SECRET_BYTES:
        raise ValueError(f"the secret of a join token has {SECRET_BYTES} bytes")
    return JoinToken(hashlib.sha256(root_der).digest(), secret_bytes)


def parse_token(text: str) -> JoinToken:
    """Takes a token apart; INVALID (field `token`) with what is wrong. Repeats no secret."""
    parts = text.strip().split("-")
    if parts[0] == "SWMKEY":
        raise _malformed("this is an unlock key, not a join token")
    if parts[0] != PREFIX:
        raise _malformed(f"a join token begins with {PREFIX}-{VERSION}-")
    if len(parts) > 1 and parts[1] != VERSION:
        raise _malformed(f"this is a token of version {parts[1][:8]!r}; only {VERSION} is known")
    if len(parts) != 4:  # noqa: PLR2004 - prefix, version, digest, secret
        raise _malformed("a join token has four parts, and this one is cut or joined with others")
    return JoinToken(
        _number("digest", parts[2], _DIGEST_WIDTH, _DIGEST_BYTES),
        _number("secret", parts[3], _SECRET_WIDTH, SECRET_BYTES),
    )


def _number(part: str, text: str, width: int, size: int) -> bytes:
    if len(text) != width:
        raise _malformed(f"its {part} has {len(text)} characters instead of {width}")
    if not set(text) <= set(ALPHABET):
        raise _malformed(f"its {part} holds other characters than 0-9 and a-z")
    number = int(text, 36)
    if number.bit_length() > size * 8:
        raise _malformed(f"its {part} is no number of {size} bytes")
    return number.to_bytes(size, "big")


def _malformed(why: str) -> SwarmError:
    return invalid("token", "the join token is not valid", why=why, remedy=_REMEDY)
