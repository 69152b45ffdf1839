"""What the kernel refuses, told as an error that people can read."""

import contextlib
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
