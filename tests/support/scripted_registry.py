"""A small registry whose answers a test scripts: it lies, breaks off, redirects, wants tokens."""

import contextlib
import hashlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from runtime.image.layout import Layout
from runtime.image.manifest import OCI_MANIFEST


@dataclass(frozen=True)
class Reply:
    """One answer; `cut`: the connection breaks after so many bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    headers: dict[str, str]


Rule = Callable[[Request], Reply | None]


class ScriptedRegistry:
    """Serves `manifests` (name: type and body) and `blobs` (digest: body) of any repository.

    `rules` are asked first, the first answer counts; `requests` holds what was asked.
    """

    def __init__(self) -> None:
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.rules: list[Rule] = []
        self.requests: list[Request] = []
        self.address = ""

    def add_layout(self, layout: Path, tag: str) -> str:
        """Serves the image of an OCI layout under `tag`; the digest of its manifest."""
        source = Layout(layout)
        top = source.only_image()
        manifests, blobs = source.reachable(top)
        for manifest in manifests:
            entry = (manifest.media_type, source.blob(manifest.digest).read_bytes())
            self.manifests[manifest.digest] = entry
        self.manifests[tag] = self.manifests[top.digest]
        for blob in blobs:
            self.blobs[blob.digest] = source.blob(blob.digest).read_bytes()
        return top.digest

    def layers(self, name: str) -> list[str]:
        """The digests of the packed layers of a manifest."""
        return [layer["digest"] for layer in json.loads(self.manifests[name][1])["layers"]]

    def count(self, part: str) -> int:
        """How many requests had `part` in their path."""
        return sum(part in request.path for request in self.requests)

    def once(self, part: str, *replies: Reply) -> None:
        """Answers the next requests for paths with `part` in them, in this order."""
        waiting = list(replies)

        def rule(request: Request) -> Reply | None:
            return waiting.pop(0) if waiting and part in request.path else None

        self.rules.append(rule)

    def always(self, part: str, reply: Reply) -> None:
        """Answers every request for paths with `part` in them."""
        self.rules.append(lambda request: reply if part in request.path else None)

    def answer(self, request: Request) -> Reply:
        """The answer to a request."""
        self.requests.append(request)
        for rule in list(self.rules):
            reply = rule(request)
            if reply is not None:
                return reply
        kind, _, name = request.path.rpartition("/")
        if kind.endswith("/manifests") and name in self.manifests:
            media_type, body = self.manifests[name]
            return Reply(200, body, {"Content-Type": media_type})
        if kind.endswith("/blobs") and name in self.blobs:
            return partial(self.blobs[name], request)
        code = "MANIFEST_UNKNOWN" if kind.endswith("/manifests") else "BLOB_UNKNOWN"
        return Reply(404, json.dumps({"errors": [{"code": code, "message": "unknown"}]}).encode())


def partial(body: bytes, request: Request) -> Reply:
    """A body, or the part of it that a Range asks for."""
    wanted = request.headers.get("range", "")
    if not wanted:
        return Reply(200, body)
    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
    if start >= len(body):
        return Reply(416)
    headers = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
    return Reply(206, body[start:], headers)


def bearer(address: str, *, value: str, user: str = "") -> Rule:
    """A rule that wants the token `value`; /token gives it, to the Authorization `user` if set."""

    def rule(request: Request) -> Reply | None:
        given = request.headers.get("authorization", "")
        if request.path.startswith("/token"):
            if user and given != user:
                return Reply(401, b"{}")
            return Reply(200, json.dumps({"token": value, "expires_in": 300}).encode())
        if given == f"Bearer {value}":
            return None
        scope = "repository:team/app:pull"
        challenge = f'Bearer realm="http://{address}/token",service="small",scope="{scope}"'
        body = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
        return Reply(401, body, {"WWW-Authenticate": challenge})

    return rule


def manifest_of(config: bytes, layers: list[bytes], layer_type: str) -> bytes:
    """A manifest of a configuration and packed layers."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor(layer_type, layer) for layer in layers],
        }
    ).encode()


def sha256(body: bytes) -> str:
    """The digest of `body`."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _descriptor(media_type: str, body: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(body), "size": len(body)}


@contextlib.contextmanager
def serving(
    host: str = "127.0.0.1", tls: tuple[Path, Path] | None = None
) -> Iterator[ScriptedRegistry]:
    """A scripted registry that listens on a free port of loopback."""
    registry = ScriptedRegistry()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            headers = {key.lower(): value for key, value in self.headers.items()}
            reply = registry.answer(Request(self.command, self.path, headers))
            self.send_response(reply.status)
            for key, value in reply.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body[: reply.cut])
            if reply.cut is not None:
                self.wfile.flush()
                self.close_connection = True

        do_GET = do_HEAD = handle_any

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # clients that go away are part of the test

    with Server((host, 0), Handler) as server:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        registry.address = f"{host}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()
