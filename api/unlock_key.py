"""Unlock keys as operators type them: SWMKEY-1-KEY, as Docker Swarm's. Pure: format and parse.

KEY is the base64 (RFC 4648, section 4) of 32 random bytes without its padding: 43 characters. With
these bytes the managers of a locked swarm encrypt the keys on their disks. Compares none.
"""

import base64
import binascii

from api.errors import SwarmError, invalid

PREFIX = "SWMKEY"
VERSION = "1"
KEY_BYTES = 32
_WIDTH = 43
_REMEDY = "type the whole key that `swarmctl swarm unlock-key` printed on a manager"


def format_unlock_key(key: bytes) -> str:
    """The text for 32 bytes, else ValueError."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"an unlock key has {KEY_BYTES} bytes")
    return "-".join((PREFIX, VERSION, base64.b64encode(key).decode().rstrip("=")))


def parse_unlock_key(text: str) -> bytes:
    """The 32 bytes; INVALID (field `key`) with what is wrong. Repeats nothing of the key."""
    parts = text.strip().split("-")
    if parts[0] == "SWMTKN":
        raise _malformed("this is a join token, not an unlock key")
    if parts[0] != PREFIX:
        raise _malformed(f"an unlock key begins with {PREFIX}-{VERSION}-")
    if len(parts) > 1 and parts[1] != VERSION:
        raise _malformed(f"this is a key of version {parts[1][:8]!r}; only {VERSION} is known")
    if len(parts) != 3:  # noqa: PLR2004 - prefix, version, key
        raise _malformed("an unlock key has three parts, and this one is cut or joined with others")
    return _decoded(parts[2])


def _decoded(text: str) -> bytes:
    if len(text) != _WIDTH:
        raise _malformed(f"its last part has {len(text)} characters instead of {_WIDTH}")
    try:
        key = base64.b64decode(f"{text}=", validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("its last part holds other characters than those of base64") from None
    # 43 characters have two bits more than 32 bytes: a slip in the last one would pass unnoticed.
    if base64.b64encode(key).decode() != f"{text}=":
        raise _malformed("its last character is none that a key ends with")
    return key


def _malformed(why: str) -> SwarmError:
    return invalid("key", "the unlock key is not valid", why=why, remedy=_REMEDY)
