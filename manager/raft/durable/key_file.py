"""The file of a node's data keys: what stands in it, and how it is read and replaced.

Text. The first line is `swarm-keys 1 clear N` or `swarm-keys 1 sealed N`, where N is the version of
the cluster object that said so, 0 if none did. Below it, in hex: the keys, one a line and the
newest last; or, sealed, one line: a nonce (12 bytes) and all keys in a row, under AES-256-GCM with
the key-encryption key (KEK), the first line bound to them. Decides nothing of when which.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from api.errors import Code, SwarmError
from hostkit.durable import replace

KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_OTHERS = 0o077
_FIRST_LINE = re.compile(r"swarm-keys 1 (clear|sealed) (0|[1-9]\d{0,19})", re.ASCII)
_KEY_LINE = re.compile(rf"[0-9a-f]{{{2 * KEY_BYTES}}}")
_SEALED_LINE = re.compile(r"(?:[0-9a-f]{2})+")


class LockedError(SwarmError):
    """The keys are sealed, and nobody has said under which KEK."""

    def __init__(self) -> None:
        super().__init__(
            Code.DENIED,
            "this manager is locked",
            why="its keys are encrypted under the unlock key of the swarm",
            remedy="run on its host: swarmctl swarm unlock",
        )


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What the file says. `keys`: 32 bytes each, the newest last; `kek`: 32 bytes, None: clear."""

    keys: tuple[bytes, ...] = field(repr=False)
    kek: bytes | None = field(default=None, repr=False)
    version: int = 0


def read(path: Path, kek: bytes | None) -> KeyFile:
    """What the file holds; `kek` is not needed where it is clear, and then left out of the answer.

    FileNotFoundError; LockedError if it is sealed and there is no KEK; DENIED (field `key`) if it
    is another; REFUSED if others may use the file, or it is something else.
    """
    lines = _content(path).splitlines()
    first = _FIRST_LINE.fullmatch(lines[0]) if lines else None
    if first is None:
        raise _unknown(path)
    version = int(first[2])
    if first[1] == "sealed":
        if len(lines) != 2 or not _SEALED_LINE.fullmatch(lines[1]):  # noqa: PLR2004 - as above
            raise _unknown(path)
        if kek is None:
            raise LockedError
        return KeyFile(_unsealed(path, lines, kek), kek, version)
    if len(lines) == 1 or not all(_KEY_LINE.fullmatch(line) for line in lines[1:]):
        raise _unknown(path)
    return KeyFile(tuple(map(bytes.fromhex, lines[1:])), None, version)


def write(path: Path, held: KeyFile) -> None:
    """Replaces the file whole: a crash leaves the old keys or the new ones, never neither.

    OSError before anything is replaced, or where the disk cannot say that it was.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(path, "".join(f"{line}\n" for line in _lines(held)).encode("ascii"))


def _lines(held: KeyFile) -> list[str]:
    first = f"swarm-keys 1 {'clear' if held.kek is None else 'sealed'} {held.version}"
    if held.kek is None:
        return [first, *(key.hex() for key in held.keys)]
    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(held.kek).encrypt(nonce, b"".join(held.keys), first.encode())
    return [first, (nonce + sealed).hex()]


def _content(path: Path) -> str:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(file, "r", encoding="ascii", errors="replace") as stream:
        if os.fstat(file).st_mode & _OTHERS:
            raise SwarmError(
                Code.REFUSED,
                f"the key file {path} is not used",
                why="others than its owner may read or write it",
                remedy=f"chmod 600 {path}",
            )
        return stream.read()


def _unsealed(path: Path, lines: list[str], kek: bytes) -> tuple[bytes, ...]:
    sealed = bytes.fromhex(lines[1])
    nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    if len(rest) <= _TAG_BYTES or (len(rest) - _TAG_BYTES) % KEY_BYTES:
        raise _unknown(path)
    try:
        keys = AESGCM(kek).decrypt(nonce, rest, lines[0].encode())
    except InvalidTag:
        raise SwarmError(
            Code.DENIED,
            "the unlock key does not fit",
            why=f"{path} was encrypted under another key, or was altered",
            remedy="if the key was rotated while this manager was down, try the one from before",
            field="key",
        ) from None
    return tuple(keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES))


def _unknown(path: Path) -> SwarmError:
    return SwarmError(
        Code.REFUSED,
        f"the key file {path} is not used",
        why=f"it is not a list of {KEY_BYTES}-byte keys as this version writes it",
        remedy="put back the key file that belongs to this state folder",
    )
