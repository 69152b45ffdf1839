"""What is in a file of machines, as JSON of a numbered form. Pure.

Names of files are relative to the folder of their machine, and never lead out of it.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from api.errors import Code, SwarmError
from api.identity import Credentials
from machine.ssh.host_keys import HostKey
from machine.store.machine import check_name

FORM = 1
_WORD = re.compile(r"[^\s\x00-\x1f#@|*?!,][^\s\x00-\x1f*?!,]*")
Contents = Mapping[str, bytes]
"""Files by their names, relative to some folder."""


@dataclass(frozen=True)
class Cargo:
    """Machines, and what their new owner needs. Its repr hides what is secret."""

    sender: str
    machines: Mapping[str, Contents] = field(repr=False)  # by name; with machine.json
    known_hosts: tuple[HostKey, ...] = ()
    client: Credentials | None = None  # for calls to the machines' API
    authority: Contents = field(default_factory=dict, repr=False)  # none: it stays with the sender


def encoded(cargo: Cargo) -> bytes:
    """The content of the file, before it is sealed."""
    document = {
        "form": FORM,
        "sender": cargo.sender,
        "machines": {name: _texts(files) for name, files in cargo.machines.items()},
        "known_hosts": [[each.name, each.kind, _text(each.blob)] for each in cargo.known_hosts],
        "client": None if cargo.client is None else _client_texts(cargo.client),
        "authority": _texts(cargo.authority),
    }
    return json.dumps(document).encode()


def decoded(content: bytes) -> Cargo:
    """What was encoded. REFUSED if it is of a later form, INVALID if it is not well formed."""
    try:
        document = json.loads(content)
        form = int(document["form"])
        if form > FORM:
            raise SwarmError(
                Code.REFUSED,
                "the machines are of a newer swarmctl",
                why=f"they have form {form}, and this version knows form {FORM}",
                remedy="use that version, or a newer one",
            )
        return Cargo(
            sender=str(document["sender"]),
            machines={
                check_name(name): _contents(files) for name, files in document["machines"].items()
            },
            known_hosts=tuple(_key(*each) for each in document["known_hosts"]),
            client=_client(document["client"]),
            authority=_contents(document["authority"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SwarmError(
            Code.INVALID,
            "the machines in the file cannot be read",
            why=f"{type(error).__name__}: {error}",
        ) from None


def _texts(files: Contents) -> dict[str, str]:
    return {name: _text(content) for name, content in files.items()}


def _contents(texts: Any) -> Contents:  # noqa: ANN401 - whatever JSON holds
    return {_inside(name): _bytes(text) for name, text in texts.items()}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _inside(name: str) -> str:
    if "\0" in name or {"", ".", ".."} & set(name.split("/")):
        raise ValueError(f"{name!r} is no name of a file here")
    return name


def _key(name: str, kind: str, blob: str) -> HostKey:
    """Its parts are words of a line of known_hosts."""
    if not _WORD.fullmatch(name) or not _WORD.fullmatch(kind):
        raise ValueError("a host key is not well formed")
    return HostKey(name, kind, _bytes(blob))


def _client_texts(client: Credentials) -> dict[str, str]:
    return {
        "ca": client.ca_pem.decode(),
        "cert": client.certificate_pem.decode(),
        "key": client.key_pem.decode(),
    }


def _client(said: Any) -> Credentials | None:  # noqa: ANN401
    if said is None:
        return None
    return Credentials(said["key"].encode(), said["cert"].encode(), said["ca"].encode())
