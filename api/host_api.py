"""A host's own API over mutual TLS: what its daemon and those who call it agree on. Pure.

Before there is a swarm an operator's own authority signs both sides. Its certificates carry its
organisation, by which they are told from those of a swarm; a host is called by its address there,
while in a swarm every manager answers to one name.
"""

import base64
import binascii
import re

PORT = 2376
"""Where it is served, as Docker's over TLS."""
ORGANIZATION = "swarm-machines"
"""In every certificate that an operator's own authority signs, and in its own."""
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")


def is_of_machines(ca_pem: bytes) -> bool:
    """Whether an operator's own authority is among these roots."""
    return any(_are_of_machines(ca_pem))


def names_asked_for(ca_pem: bytes, host: str, manager_name: str) -> tuple[str, ...]:
    """The names that a server at `host` may bear which these roots vouch for, likeliest first.

    Reads no certificate, since the library for that costs a command its start-up time. Whoever
    deceives it gains nothing: it decides which name is looked for, not whom to believe.
    """
    own = _are_of_machines(ca_pem)
    names = (host,) if any(own) else ()
    return names if own and all(own) else (*names, manager_name)


def _are_of_machines(ca_pem: bytes) -> list[bool]:
    return [ORGANIZATION.encode() in _der(block) for block in _BLOCK.findall(ca_pem)]


def _der(block: bytes) -> bytes:
    try:
        return base64.b64decode(block)
    except binascii.Error:
        return b""
