"""The only way that hosts have to the world: packages of Debian and of Python, and nothing else.

It listens in the lab's network namespace and asks the mirrors from this machine's own, so that
no link, route or rule joins the two. Paths, and what they stand for:

    /debian/...  /debian-security/...    the mirrors, as sources.list of the hosts names them
    /simple/NAME/                        the index, as /etc/pip.conf of the hosts names it
    /files/DIGEST/NAME                   a file that a page of the index told of
"""

import hashlib
import json
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

import httpx

from hostkit import netns
from tests.support.machine_hosts.mirrors import Mirrors, configured
from tests.support.machine_hosts.package_cache import Absent, PackageCache

PORT = 3142
_JSON = "application/vnd.pypi.simple.v1+json"
_PROJECT = re.compile(r"/simple/([a-z0-9][a-z0-9._-]*)/?")
_FILE = re.compile(r"/files/([0-9a-f]{64})/[^/]+?(\.metadata)?")
_UNSAFE = re.compile(r"\.\.|[^A-Za-z0-9._~+:/=-]")
_REQUEST_TIME = 120.0
_BACKLOG = 64


@contextmanager
def package_server(
    cache: Path, address: str, port: int = 0, *, namespace: Path | None = None
) -> Iterator["PackageServer"]:
    """Serves at an address of this machine, or of a network namespace; port 0: any."""
    inside = namespace or Path("/proc/self/ns/net")
    listener = netns.call_in(inside, lambda: listening(address, port))
    kept = PackageCache(cache / "packages")
    server = PackageServer(listener, configured(), kept)
    try:
        yield server
    finally:
        server.close()
        kept.close()


def listening(address: str, port: int) -> socket.socket:
    """What a server takes its connections from."""
    return socket.create_server((address, port), backlog=_BACKLOG)


class PackageServer:
    """Serves from its making until `close`."""

    def __init__(self, listener: socket.socket, mirrors: Mirrors, cache: PackageCache) -> None:
        address, port = listener.getsockname()[:2]
        self.url = f"http://{address}:{port}"
        self.closed: set[str] = set()
        """Beginnings of paths that fail: a test adds some."""
        self._mirrors = mirrors
        self._cache = cache
        self._told: dict[str, str] = {}  # digests of addresses that index pages named
        server = self

        class Handler(_Handler):
            packages = server

        self._http = ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
        self._http.socket.close()
        self._http.socket = listener
        self._http.daemon_threads = True
        self._thread = threading.Thread(
            target=self._http.serve_forever, name="packages", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stops listening; what is being served is cut off."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, path: str) -> tuple[str, Path | bytes]:
        """Content type and content; Absent if there is none, and for all that is not ours."""
        path = unquote(path)
        if any(path.startswith(each) for each in self.closed):
            raise Absent(httpx.codes.SERVICE_UNAVAILABLE)
        if _UNSAFE.search(path):
            raise Absent(httpx.codes.BAD_REQUEST)
        if match := _PROJECT.fullmatch(path):
            return _JSON, self._page(match[1])
        if match := _FILE.fullmatch(path):
            return "application/octet-stream", self._file(match[1], match[2] or "")
        return "application/octet-stream", self._of_debian(path)

    def _of_debian(self, path: str) -> Path:
        for prefix, mirror in (
            ("/debian/", self._mirrors.debian),
            ("/debian-security/", self._mirrors.security),
        ):
            if path.startswith(prefix):
                fixed = "/by-hash/" in path or path.endswith(".deb")
                address = f"{mirror}/{path.removeprefix(prefix)}"
                return self._cache.file(address, changes=not fixed)
        raise Absent(httpx.codes.NOT_FOUND)

    def _page(self, project: str) -> bytes:
        address = f"{self._mirrors.index}/{project}/"
        kept = self._cache.file(address, changes=True, headers={"Accept": _JSON})
        page: dict[str, Any] = json.loads(kept.read_bytes())
        for each in page["files"]:
            origin = urljoin(address, each["url"])
            digest = hashlib.sha256(origin.encode()).hexdigest()
            self._told[digest] = origin
            each["url"] = f"/files/{digest}/{each['filename']}"
        return json.dumps(page).encode()

    def _file(self, digest: str, suffix: str) -> Path:
        origin = self._told.get(digest)
        if origin is None:
            raise Absent(httpx.codes.NOT_FOUND)
        return self._cache.file(origin + suffix, changes=False)


class _Handler(BaseHTTPRequestHandler):
    packages: PackageServer
    protocol_version = "HTTP/1.1"
    timeout = _REQUEST_TIME

    def do_GET(self) -> None:
        try:
            kind, content = self.packages.answer(self.path)
        except Absent as error:
            self.send_error(error.status)
        except httpx.HTTPError as error:
            self.send_error(httpx.codes.BAD_GATEWAY, str(error))
        else:
            self._send(kind, content)

    def _send(self, kind: str, content: Path | bytes) -> None:
        length = len(content) if isinstance(content, bytes) else content.stat().st_size
        self.send_response(httpx.codes.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if isinstance(content, bytes):
            self.wfile.write(content)
        else:
            with content.open("rb") as file:
                shutil.copyfileobj(file, self.wfile)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: what a host asked in vain, it tells itself."""
