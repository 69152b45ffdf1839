"""Keys of gRPC metadata that have a meaning of their own."""

from typing import Any

STALE = "swarm-stale"
"""On a read: rather an old answer of the manager that is asked than none. See --stale."""


def is_stale_read(metadata: Any) -> bool:  # noqa: ANN401 - pairs, as gRPC hands them over
    """Whether the caller takes an old answer."""
    return any(key == STALE for key, _ in metadata or ())
