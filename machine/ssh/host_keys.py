"""The host keys that were seen first, one file for all machines, as ssh's own known_hosts.

Written under a lock, replaced as a whole. A key that is there is never replaced by itself.
"""

import base64
import binascii
import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit.durable import replace


@dataclass(frozen=True)
class HostKey:
    """A server's public key, under the name that it is known by."""

    name: str  # host, or [host]:port
    kind: str  # as ssh-ed25519
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it."""
        return fingerprint(self.blob)

    @property
    def line(self) -> str:
        """As known_hosts has it."""
        return f"{self.name} {self.kind} {base64.b64encode(self.blob).decode()}"


def fingerprint(blob: bytes) -> str:
    """Of a public key: SHA256 and no padding."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"


class KnownHosts:
    """The keys in one file. Calls block for as long as another process writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, name: str) -> Sequence[HostKey]:
        """Every key of that name."""
        return [key for key in map(_parsed, self._lines()) if key is not None and key.name == name]

    def pin(self, key: HostKey) -> HostKey:
        """Remembers the first key of its name; returns the one that is remembered now."""
        with self._locked():
            if pinned := self.find(key.name):
                return next((each for each in pinned if each == key), pinned[0])
            self._write([*self._lines(), key.line])
        return key

    def replace(self, key: HostKey) -> None:
        """Forgets every other key of that name: somebody has looked, and trusts this one."""
        with self._locked():
            self._write([*self._others(key.name), key.line])

    def forget(self, name: str) -> None:
        """The next key of that name is the first again."""
        with self._locked():
            self._write(self._others(name))

    def _others(self, name: str) -> list[str]:
        return [line for line in self._lines() if _name_of(line) != name]

    def _lines(self) -> list[str]:
        try:
            return self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SwarmError(
                Code.INTERNAL, f"cannot read {self.path}", why=str(error.strerror)
            ) from None

    def _write(self, lines: Sequence[str]) -> None:
        replace(self.path, "".join(f"{line}\n" for line in lines).encode())

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self.path.with_name(f".{self.path.name}.lock")
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _name_of(line: str) -> str:
    return line.split(" ", 1)[0]


def _parsed(line: str) -> HostKey | None:
    """None for what is none, such as remarks and certificate authorities."""
    words = line.split()
    if len(words) < 3 or words[0].startswith(("#", "@")):  # noqa: PLR2004 - name, kind, key
        return None
    try:
        return HostKey(words[0], words[1], base64.b64decode(words[2], validate=True))
    except binascii.Error:
        return None
