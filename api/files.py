"""Secrets and configs as files in a container: where they lie, and who may read them. Pure.

Managers refuse by these rules what no node could do, and nodes place files by the very same.
Nothing here knows what is in a file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

from api.errors import invalid
from api.v1 import specs_pb2

Kind: TypeAlias = Literal["secret", "config"]
Key: TypeAlias = tuple[Kind, str]
"""A kind, and the id of one of that kind."""
Reference: TypeAlias = specs_pb2.FileReference

SECRETS_FOLDER = "/run/secrets"
DEFAULT_MODE = 0o444
MODE_BITS = 0o7777
HIGHEST_ID = 2**32 - 2
"""The highest user or group id: the one above it means "none" to the kernel (chown(2))."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file lies in the container, an absolute path, and its owner and mode."""

    target: str
    uid: int
    gid: int
    mode: int


def references(spec: specs_pb2.ContainerSpec) -> Iterator[tuple[Kind, int, Reference]]:
    """Every reference of the spec, with its kind and its index among those of that kind."""
    for index, secret in enumerate(spec.secrets):
        yield "secret", index, secret
    for index, config in enumerate(spec.configs):
        yield "config", index, config


def place(kind: Kind, reference: Reference, field: str) -> Place:
    """Where the file goes: INVALID if the reference cannot be followed. `field`: its path."""
    return Place(
        target=_target(kind, reference, f"{field}.target"),
        uid=_number(reference.uid, f"{field}.uid"),
        gid=_number(reference.gid, f"{field}.gid"),
        mode=_mode(reference, f"{field}.mode"),
    )


def check(path: str, spec: specs_pb2.ContainerSpec) -> None:
    """Refuses references without a name, in impossible places, or in the way of each other.

    `path`: of the container spec. Mounts are looked at too: a file and a mount exclude each other
    in one place, and nothing can lie below a file.
    """
    taken = {mount.target.rstrip("/") for mount in spec.mounts}
    files: dict[str, str] = {}
    for kind, index, reference in references(spec):
        field = f"{path}.{kind}s[{index}]"
        if not reference.source:
            raise invalid(f"{field}.source", f"the name of a {kind} is needed")
        target = place(kind, reference, field).target
        if target in taken or target in files:
            raise invalid(f"{field}.target", f"{target} is there already")
        files[target] = f"{field}.target"
    for target in (*files, *taken):
        for parent in PurePosixPath(target).parents:
            if str(parent) in files:
                raise invalid(files[str(parent)], f"{parent} is a file, and {target} lies below it")


def _target(kind: Kind, reference: Reference, field: str) -> str:
    text = reference.target or reference.source
    parts = text.removeprefix("/").split("/")
    if "\0" in text or not all(parts) or {".", ".."} & set(parts):
        raise invalid(
            field,
            f"{text!r} is no path of a file",
            remedy=f"use a name below {SECRETS_FOLDER if kind == 'secret' else '/'}, "
            "or an absolute path, without . and ..",
        )
    if text.startswith("/"):
        return text
    return f"{SECRETS_FOLDER}/{text}" if kind == "secret" else f"/{text}"


def _number(text: str, field: str) -> int:
    if not text:
        return 0
    if text.isascii() and text.isdecimal() and len(text) <= len(str(HIGHEST_ID)):
        number = int(text)
        if number <= HIGHEST_ID:
            return number
    raise invalid(field, f"{text!r} is no numeric id", remedy=f"use a number up to {HIGHEST_ID}")


def _mode(reference: Reference, field: str) -> int:
    if not reference.HasField("mode"):
        return DEFAULT_MODE
    if reference.mode > MODE_BITS:
        why = f"{reference.mode:o} is no file mode"
        raise invalid(field, why, remedy="use 0 to 7777, in octal")
    return reference.mode
