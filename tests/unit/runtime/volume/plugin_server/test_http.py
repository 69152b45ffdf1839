"""The server with raw bytes: what callers may do to it, and what comes back."""

import asyncio
import contextlib
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.errors import SwarmError
from runtime.volume.plugin_server.http import BODY_LIMIT, HEADER_LIMIT, HttpServer


async def echo(path: str, body: bytes) -> tuple[int, bytes]:
    if path == "/fail":
        raise ValueError("secret")
    return 200, f"{path} {len(body)}".encode()


@contextlib.asynccontextmanager
async def serving(folder: Path, patience: float = 30.0) -> AsyncIterator[Path]:
    path = folder / "run" / "s.sock"
    server = HttpServer(path, echo, mime="text/plain", patience=patience)
    await server.start()
    try:
        yield path
    finally:
        await server.stop()


async def ask(path: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    with contextlib.suppress(OSError):
        writer.write(data)
        writer.write_eof()
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await scenario()

    asyncio.run(whole())


def test_a_request_is_answered_and_the_connection_closed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as path:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            said = await ask(path, post("/x", b"body"))
            assert said.startswith(b"HTTP/1.1 200")
            assert b"Connection: close" in said
            assert said.endswith(b"/x 4")
        assert not path.exists()

    run(scenario)


def test_a_body_in_chunks_is_put_together(tmp_path: Path) -> None:
    async def scenario() -> None:
        head = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        async with serving(tmp_path) as path:
            said = await ask(path, head + b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")
        assert said.endswith(b"/x 5")

    run(scenario)


def test_who_waits_for_a_word_gets_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as path:
            said = await ask(path, post("/x", b"body", "Expect: 100-continue"))
        assert b"200" in said

    run(scenario)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST /x HTTP/1.1\r\n\r\n", b"400"),
        (post("/x", b"x" * (BODY_LIMIT + 1)), b"413"),
        (b"POST /" + b"x" * (HEADER_LIMIT * 2), b"431"),
    ],
)
def test_what_is_no_request_or_too_large_is_refused(
    tmp_path: Path, data: bytes, status: bytes
) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as path:
            said = await ask(path, data)
            assert said[:12] in (b"", b"HTTP/1.1 " + status)
            assert (await ask(path, post("/x", b""))).endswith(b"/x 0")

    run(scenario)


def test_a_fault_of_ours_tells_nothing_to_the_caller(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as path:
            said = await ask(path, post("/fail", b""))
        assert said.startswith(b"HTTP/1.1 500")
        assert b"secret" not in said

    run(scenario)


def test_a_caller_that_says_nothing_is_let_go(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path, patience=0.1) as path:
            caller = socket.socket(socket.AF_UNIX)
            caller.connect(str(path))
            caller.sendall(b"POST /x")  # and not only when it has been let go
            reader, writer = await asyncio.open_unix_connection(sock=caller)
            assert await reader.read() == b""
            writer.close()

    run(scenario)


def test_more_callers_than_there_is_room_for_are_sent_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as path, contextlib.AsyncExitStack() as stack:
            readers = []
            for _ in range(70):
                reader, writer = await asyncio.open_unix_connection(str(path))
                stack.callback(writer.close)
                readers.append(reader)
            assert await asyncio.gather(*(reader.read() for reader in readers[64:])) == [b""] * 6

    run(scenario)


def test_a_socket_that_was_left_is_replaced_and_one_in_use_is_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "s.sock").touch()
        async with serving(tmp_path) as path:
            with pytest.raises(SwarmError, match="somebody else listens"):
                await HttpServer(path, echo, mime="text/plain").start()
            assert (await ask(path, post("/x", b""))).endswith(b"/x 0")

    run(scenario)


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.binary(max_size=200) | st.just(post("/x", b"abc")), min_size=1, max_size=5))
def test_no_bytes_break_it(tmp_path: Path, messages: list[bytes]) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as path:
            for data in messages:
                said = await ask(path, data)
                assert said == b"" or said.startswith(b"HTTP/1.1 ")
            assert (await ask(path, post("/x", b""))).endswith(b"/x 0")

    run(scenario)
