"""The keys that may prove who asks: files, the agent's, and ssh's default ones.

A key that needs a passphrase is asked for last, once for all hosts, and kept in memory alone.
"""

import asyncio
import base64
import contextlib
import io
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from api.errors import Code, SwarmError
from machine.ssh.questions import Asker, Questions
from machine.ssh.route import DEFAULTS, Hop

_AGENT_PATIENCE = 20.0
"""Seconds for one answer of the agent, which may ask a person."""
_TRIES = 3
_MAGIC = b"openssh-key-v1\0"
"""Begins a private key in OpenSSH's form (PROTOCOL.key)."""
_KINDS = {
    RSAPrivateKey: paramiko.RSAKey,
    EllipticCurvePrivateKey: paramiko.ECDSAKey,
    Ed25519PrivateKey: paramiko.Ed25519Key,
}


@dataclass(frozen=True)
class Candidate:
    """A key, and what errors call it. None: it is locked, and nobody knows its passphrase."""

    name: str
    key: paramiko.PKey | None


class Agent(paramiko.agent.AgentSSH):
    """The user's ssh-agent, asked with a limit; without keys where there is none."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.way: socket.socket | None = None
        if not path:
            return
        way = socket.socket(socket.AF_UNIX)
        way.settimeout(_AGENT_PATIENCE)
        try:
            way.connect(str(Path(path).expanduser()))
            self._connect(way)  # type: ignore[attr-defined]
        except (OSError, paramiko.SSHException):
            way.close()
        else:
            self.way = way

    def end(self) -> None:
        """Lets go of it."""
        if self.way is not None:
            self.way.close()


class Keyring:
    """Private keys of files, each opened once, and passwords of sudo that were right, for as long
    as they are. Shared by all connections of one command.
    """

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._turn = asyncio.Lock()
        self._open: dict[Path, paramiko.PKey] = {}
        self._passwords: dict[tuple[str, str], str] = {}  # by machine and user

    def plain(self, path: Path) -> paramiko.PKey | None:
        """The key, if nobody has to be asked for it. INVALID if there is no key in that file."""
        try:
            return self._open.get(path) or _loaded(path, None)
        except paramiko.PasswordRequiredException:
            return None

    async def asked(self, path: Path) -> paramiko.PKey | None:
        """The key that a passphrase opens; None if nobody knows it. INVALID: it was wrong."""
        async with self._turn:
            for _ in range(_TRIES):
                if path in self._open:
                    return self._open[path]
                answer = await self._questions.passphrase(path)
                if answer is None:
                    return None
                with contextlib.suppress(_WrongPassphraseError):
                    self._open[path] = await asyncio.to_thread(_loaded, path, answer)
        raise SwarmError(
            Code.INVALID,
            f"cannot open the key {path}",
            why="the passphrase was wrong each time",
            remedy=f"try it with: ssh-keygen -y -f {path}",
        )

    async def sudo_password(self, machine: str, user: str) -> str | None:
        """The one that is kept; else what the operator says, when it is this question's turn."""
        async with self._turn:
            kept = self._passwords.get((machine, user))
            return kept or await self._questions.sudo_password(machine, user)

    def keep_password(self, machine: str, user: str, password: str) -> None:
        """One that sudo took is not asked for again."""
        self._passwords[machine, user] = password

    def drop_password(self, machine: str, user: str) -> None:
        """One that sudo takes no more is asked for again."""
        self._passwords.pop((machine, user), None)


class _WrongPassphraseError(Exception):
    pass


def candidates(
    hop: Hop, folder: Path, keyring: Keyring, agent: Agent, asker: Asker
) -> Iterator[Candidate]:
    """Keys to offer, in this order: files, agent, defaults, and what is locked by a passphrase.

    `folder`: where relative names of files begin. A locked key that the agent holds is the agent's.
    """
    held = {key.asbytes(): key for key in agent.get_keys()}
    named = [folder / Path(name).expanduser() for name in hop.keys]
    locked: list[Path] = []
    offered: set[bytes] = set()
    # A file that only ~/.ssh/config or a habit names may be missing.
    files = [path for path in named if hop.named or path.exists()]
    usual = [] if hop.only_keys and hop.keys else _usual(named)
    for path in files:
        yield from _of_file(path, keyring, held, locked, offered, strict=hop.named)
    if not hop.only_keys:
        for blob, key in held.items():
            if blob not in offered:
                offered.add(blob)
                yield Candidate(f"{key.comment or key.get_name()} of the agent", key)
    for path in usual:
        yield from _of_file(path, keyring, held, locked, offered, strict=False)
    for path in locked:
        yield Candidate(str(path), asker.answer(keyring.asked(path)))


def _of_file(
    path: Path,
    keyring: Keyring,
    held: dict[bytes, paramiko.AgentKey],
    locked: list[Path],
    offered: set[bytes],
    *,
    strict: bool,
) -> Iterator[Candidate]:
    public = _public(path)
    try:
        key = held[public] if public in held else keyring.plain(path)
    except SwarmError:
        if strict:
            raise
        return  # nobody said that it is a key
    if key is None:
        locked.append(path)
        return
    if key.asbytes() not in offered:
        offered.add(key.asbytes())
        yield Candidate(str(path), key)


def _usual(named: Sequence[Path]) -> list[Path]:
    paths = [Path(name).expanduser() for name in DEFAULTS]
    return [path for path in paths if path.exists() and path not in named]


def _public(path: Path) -> bytes | None:
    """The public half of a private key, which needs no passphrase; None for old forms of files."""
    try:
        content = path.read_bytes()
        _, _, rest = content.partition(b"-----BEGIN OPENSSH PRIVATE KEY-----")
        body = base64.b64decode(rest.partition(b"-----END")[0])
        fields = io.BytesIO(body.removeprefix(_MAGIC))
        for _ in range(3):  # cipher, and how it gets its key
            _field(fields)
        fields.read(4)  # how many keys there are: one
        return _field(fields)
    except (OSError, ValueError, struct.error):
        return None


def _field(fields: io.BytesIO) -> bytes:
    return fields.read(struct.unpack(">I", fields.read(4))[0])


def _loaded(path: Path, passphrase: str | None) -> paramiko.PKey:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unusable(path, str(error.strerror).lower()) from None
    try:
        opened = _opened(content, None if passphrase is None else passphrase.encode())
    except TypeError:  # it needs a passphrase, and there was none
        raise paramiko.PasswordRequiredException(str(path)) from None
    except (ValueError, UnsupportedAlgorithm):
        if passphrase is not None:
            raise _WrongPassphraseError from None
        raise _unusable(path, "it holds no private key of a kind that is known") from None
    for kind, made in _KINDS.items():
        if isinstance(opened, kind):
            key: paramiko.PKey = made(file_obj=io.StringIO(_plain_text(opened)))
            break
    else:
        raise _unusable(path, "keys of its kind are not used any more")
    certificate = path.with_name(f"{path.name}-cert.pub")
    if certificate.exists():
        key.load_certificate(str(certificate))
    return key


def _opened(content: bytes, passphrase: bytes | None) -> serialization.SSHPrivateKeyTypes:
    """Read without paramiko, which tells a wrong passphrase from a wrong file by chance only."""
    if b"BEGIN OPENSSH PRIVATE KEY" in content:
        return serialization.load_ssh_private_key(content, passphrase)
    return serialization.load_pem_private_key(content, passphrase)  # type: ignore[return-value]


def _plain_text(opened: serialization.SSHPrivateKeyTypes) -> str:
    text = opened.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    return text.decode()


def _unusable(path: Path, why: str) -> SwarmError:
    return SwarmError(
        Code.INVALID,
        f"cannot use the key {path}",
        why=why,
        remedy="name the file of a private key that you may read, and not its .pub",
    )


def agent_of(hop: Hop) -> Agent:
    """The agent that this hop may ask; one without keys if it may ask none."""
    path = hop.agent_socket or os.environ.get("SSH_AUTH_SOCK", "")
    return Agent(path if hop.agent else "")
