"""A plugin on another host, by TLS: who is believed, and whom it believes."""

import asyncio
import contextlib
import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from runtime.volume.plugin.connection import Connection
from runtime.volume.plugin.discovery import Folders


class Keys:
    """A certificate of its own for each party, which the other one trusts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("server", "client"):
            self._make(name)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def _make(self, name: str) -> None:
        kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        files = ["-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem")]
        subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        command = ["openssl", "req", *kind, *files, "-days", "2", *subject]
        subprocess.run(command, check=True, capture_output=True)

    def server(self) -> ssl.SSLContext:
        """Wants a certificate of its client."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path("server.pem"), self.path("server.key"))
        context.load_verify_locations(self.path("client.pem"))
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n{}")
        body = b'{"Implements": ["VolumeDriver"]}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def serving(keys: Keys) -> AsyncIterator[int]:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=keys.server())
    async with server:
        yield server.sockets[0].getsockname()[1]


def ask(keys: Keys, folder: Path, config: dict[str, Any]) -> object:
    """What the plugin answers to one whose file has this TLSConfig."""

    async def whole() -> object:
        async with serving(keys) as port:
            document = {"Addr": f"https://127.0.0.1:{port}", "TLSConfig": config}
            (folder / "p.json").write_text(json.dumps(document))
            connection = Connection("p", Folders(folder / "no", (folder,)))
            return await connection.call("Plugin.Activate", {}, 30.0)

    return asyncio.run(whole())


def identity(keys: Keys) -> dict[str, str]:
    return {"CertFile": keys.path("client.pem"), "KeyFile": keys.path("client.key")}


def test_both_sides_are_believed(keys: Keys, tmp_path: Path) -> None:
    config = {"CAFile": keys.path("server.pem"), **identity(keys)}
    assert ask(keys, tmp_path, config) == {"implements": ["VolumeDriver"]}


def test_whoever_wants_it_believes_anybody(keys: Keys, tmp_path: Path) -> None:
    config = {"InsecureSkipVerify": True, **identity(keys)}
    assert ask(keys, tmp_path, config) == {"implements": ["VolumeDriver"]}


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"CAFile": "client.pem"}, "TLS with it failed"),
        ({}, "TLS with it failed"),
        ({"CAFile": "no.pem"}, "no.pem cannot be used: No such file"),
        ({"CAFile": "server.key"}, "server.key cannot be used"),
    ],
)
def test_what_is_wrong_with_tls_is_named(
    keys: Keys, tmp_path: Path, files: dict[str, str], why: str
) -> None:
    config = {key: keys.path(name) for key, name in files.items()}
    with pytest.raises(SwarmError) as caught:
        ask(keys, tmp_path, {**config, **identity(keys)})
    assert caught.value.code is Code.UNAVAILABLE
    assert why in caught.value.why
    assert str(tmp_path / "p.json") in caught.value.remedy
