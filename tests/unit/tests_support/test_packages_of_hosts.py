"""The server of packages for bare hosts, against a mirror on the loopback address."""

import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.machine_hosts.mirrors import Mirrors, addresses
from tests.support.machine_hosts.package_cache import PackageCache
from tests.support.machine_hosts.package_server import PackageServer, listening

WHEEL = b"a wheel"


class Mirror:
    """Files by their path, and how often each was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.asked[self.path] += 1
                content = mirror.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    made = Mirror()
    yield made
    made.close()


@contextmanager
def _serving(mirror: Mirror, folder: Path) -> Iterator[PackageServer]:
    mirrors = Mirrors(f"{mirror.url}/d", f"{mirror.url}/s", f"{mirror.url}/simple")
    cache = PackageCache(folder)
    server = PackageServer(listening("127.0.0.1", 0), mirrors, cache)
    try:
        yield server
    finally:
        server.close()
        cache.close()


def _get(server: PackageServer, path: str) -> httpx.Response:
    return httpx.get(f"{server.url}{path}", timeout=20)


def test_what_never_changes_is_fetched_once_and_the_rest_once_by_each_server(
    mirror: Mirror, tmp_path: Path
) -> None:
    mirror.files = {"/d/pool/a+b_1:2.deb": b"package", "/s/dists/x/InRelease": b"list"}
    for _ in range(2):
        with _serving(mirror, tmp_path) as server:
            for _ in range(2):
                assert _get(server, "/debian/pool/a+b_1%3a2.deb").content == b"package"
                assert _get(server, "/debian-security/dists/x/InRelease").content == b"list"
    assert mirror.asked["/d/pool/a+b_1:2.deb"] == 1
    assert mirror.asked["/s/dists/x/InRelease"] == 2


def test_files_of_the_index_are_served_from_here(mirror: Mirror, tmp_path: Path) -> None:
    files = [{"filename": "six-1.whl", "url": "../../files/six-1.whl", "hashes": {}}]
    mirror.files = {"/simple/six/": json.dumps({"files": files}).encode()}
    mirror.files["/files/six-1.whl"] = WHEEL
    mirror.files["/files/six-1.whl.metadata"] = b"what it needs"
    with _serving(mirror, tmp_path) as server:
        (file,) = _get(server, "/simple/six/").json()["files"]
        assert _get(server, file["url"]).content == WHEEL
        assert _get(server, f"{file['url']}.metadata").content == b"what it needs"


def test_a_kept_list_serves_when_the_mirror_is_away(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files = {"/d/dists/x/InRelease": b"list"}
    with _serving(mirror, tmp_path) as server:
        _get(server, "/debian/dists/x/InRelease")
    mirror.close()
    with _serving(mirror, tmp_path) as server:
        assert _get(server, "/debian/dists/x/InRelease").content == b"list"
        assert _get(server, "/debian/dists/y/InRelease").status_code == 502


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/debian/dists/none", 404),
        ("/elsewhere", 404),
        ("/debian/../../etc/passwd", 400),
        ("/debian/%2e%2e/secret", 400),
        ("/files/" + "0" * 64 + "/unknown.whl", 404),
        ("/simple/../x/", 400),
        ("http://example.invalid/debian/x", 404),
    ],
)
def test_nothing_else_is_to_be_had(path: str, status: int, mirror: Mirror, tmp_path: Path) -> None:
    mirror.files = {"/secret": b"secret", "/etc/passwd": b"secret"}
    with _serving(mirror, tmp_path) as server:
        assert _raw_status(server, path) == status
    assert not {"/secret", "/etc/passwd"} & set(mirror.asked)


def test_a_test_may_close_a_way(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files = {"/simple/six/": b'{"files": []}'}
    with _serving(mirror, tmp_path) as server:
        server.closed.add("/simple/")
        assert _get(server, "/simple/six/").status_code == 503
        server.closed.clear()
        assert _get(server, "/simple/six/").status_code == 200


def test_addresses_are_found_in_both_styles_of_lists() -> None:
    lists = """\
# deb http://old.example/debian bookworm main
deb [signed-by=/x.gpg arch=amd64] http://deb.example/debian/ bookworm main
Types: deb
URIs: https://sec.example/debian-security
"""
    assert addresses(lists) == ["http://deb.example/debian", "https://sec.example/debian-security"]


def _raw_status(server: PackageServer, path: str) -> int:
    """Of a request whose path no client has tidied up."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 20) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return int(connection.makefile("rb").readline().split()[1])
