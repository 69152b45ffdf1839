"""Capabilities that a service gains and loses. Pure. The rules are Docker's (docker/cli,
service/update.go): names are upper case and begin with CAP_, ALL stands for all of them, RESET
empties the list first; to add one takes it out of those to drop and the other way round, and
adding wins.
"""

from collections.abc import Iterable

from api.v1 import specs_pb2

RESET = "RESET"
_BARE = ("ALL", RESET)


def change(container: specs_pb2.ContainerSpec, add: Iterable[str], drop: Iterable[str]) -> None:
    """Changes a container's capabilities as --cap-add and --cap-drop say."""
    adding, dropping = _names(add), _names(drop)
    added = set() if RESET in adding else _names(container.cap_add)
    dropped = set() if RESET in dropping else _names(container.cap_drop)
    adding.discard(RESET)
    dropping -= {RESET, *adding}
    container.cap_add[:] = sorted((added - dropping) | adding)
    container.cap_drop[:] = sorted((dropped - adding) | dropping)


def _names(texts: Iterable[str]) -> set[str]:
    upper = (text.strip().upper() for text in texts)
    return {name if name in _BARE or name.startswith("CAP_") else f"CAP_{name}" for name in upper}
