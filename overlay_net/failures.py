"""What the kernel refuses, or answers without sense, told as an error that people can read."""

import contextlib
import struct
from collections.abc import Iterator

from api.errors import Code, SwarmError


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """A refusal inside becomes a SwarmError that says what failed; nftables' ones are that
    already.
    """
    try:
        yield
    except OSError as error:
        raise SwarmError(Code.INTERNAL, f"{what} failed", why=str(error)) from error


@contextlib.contextmanager
def legible(what: str) -> Iterator[None]:
    """Bytes or objects of the kernel's that mean nothing become a SwarmError as well.

    `what`: what is read inside, and that alone: a fault of our own is to be seen as one.
    """
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, struct.error) as error:
        raise SwarmError(
            Code.INTERNAL,
            f"reading {what} failed",
            why=f"the kernel's answer is not understood: {error!r}",
            remedy="it is tried again; if it stays so, report this kernel's version: uname -r",
        ) from error
