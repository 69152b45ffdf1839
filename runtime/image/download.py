"""Downloads one blob into a file: verified while it streams, resumed where it broke off."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx

from runtime.image import digest as digests
from runtime.image import faults
from runtime.image.manifest import Descriptor
from runtime.image.stream import CHUNK
from runtime.image.transport import Call, Transport

_OK = 200
_PARTIAL = 206
_OUT_OF_RANGE = 416
_RANGE = re.compile(r"bytes (\d{1,20})-\d{1,20}/(?:\d{1,20}|\*)", re.ASCII)

Report = Callable[[int], None]
"""Told how many bytes are there, again and again."""


class _Sink:
    """The file that a blob collects in, and its running hash."""

    def __init__(self, path: Path, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.reset()

    def inherit(self) -> None:
        """Takes over what an earlier attempt left in the file."""
        while self.size < self._descriptor.size:
            wanted = min(CHUNK, self._descriptor.size - self.size)
            data = os.pread(self._file, wanted, self.size)
            if not data:
                break
            self._hash.update(data)
            self.size += len(data)
        self.inherited = self.size

    def reset(self) -> None:
        """Begins anew."""
        self._hash = digests.hasher(self._descriptor.digest)
        self.size = 0
        self.inherited = 0

    def write(self, data: bytes) -> None:
        """Appends; hashing and writing are for a thread."""
        self._hash.update(data)
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file, view, self.size)
            view = view[written:]
            self.size += written

    def hash(self) -> str:
        """The digest of what is there."""
        return f"{self._descriptor.digest.partition(':')[0]}:{self._hash.hexdigest()}"

    def close(self) -> None:
        """Leaves the file with nothing behind the last byte that was hashed."""
        os.ftruncate(self._file, self.size)
        os.close(self._file)

    def delete(self) -> None:
        """Keeps nothing of it."""
        self._path.unlink(missing_ok=True)


async def download(
    transport: Transport, call: Call, descriptor: Descriptor, target: Path, report: Report
) -> None:
    """Makes `target` hold the blob, whatever part of it is there already.

    Raises SwarmError: REFUSED if it is not what the descriptor says (then nothing is kept),
    UNAVAILABLE if the network failed too often (then what came is kept for the next attempt).
    """
    sink = await asyncio.to_thread(_Sink, target, descriptor)
    try:
        await asyncio.to_thread(sink.inherit)
        await _complete(transport, call, descriptor, sink, report)
        if sink.hash() != descriptor.digest and sink.inherited:
            sink.reset()  # what a crash left may be torn
            await _complete(transport, call, descriptor, sink, report)
        if sink.hash() != descriptor.digest:
            sink.delete()
            raise faults.mismatch(call.what, descriptor.digest, sink.hash())
    finally:
        sink.close()


async def _complete(
    transport: Transport, call: Call, descriptor: Descriptor, sink: _Sink, report: Report
) -> None:
    """Asks for what is missing until it is there. Only attempts without any progress count."""
    failures = 0
    report(sink.size)
    while sink.size < descriptor.size:
        before = sink.size
        cause: Exception | None = None
        try:
            await _fetch(transport, call, descriptor, sink, report)
        except httpx.TransportError as error:
            cause = error
        if sink.size >= descriptor.size:
            return
        failures = 1 if sink.size > before else failures + 1
        if not await transport.pause(failures):
            broken = cause or EOFError("the answers end early")
            raise faults.of_transport(broken, what=call.what, registry=transport.registry)


async def _fetch(
    transport: Transport, call: Call, descriptor: Descriptor, sink: _Sink, report: Report
) -> None:
    headers = {"Range": f"bytes={sink.size}-"} if sink.size else {}
    request = Call(call.method, call.target, call.scope, call.what, {**call.headers, **headers})
    async with transport.send(request) as response:
        if response.status_code == _OUT_OF_RANGE and sink.size:
            sink.reset()
            return
        if response.status_code not in (_OK, _PARTIAL):
            raise await transport.fail(response, call.what)
        if response.status_code == _OK or not _continues(response, sink.size):
            sink.reset()
            if response.status_code == _PARTIAL:
                return
        async for chunk in _batches(response):
            if sink.size + len(chunk) > descriptor.size:
                sink.delete()
                raise faults.mismatch(
                    call.what, f"{descriptor.size} bytes", f"at least {sink.size + len(chunk)}"
                )
            await asyncio.to_thread(sink.write, chunk)
            report(sink.size)


def _continues(response: httpx.Response, position: int) -> bool:
    """Whether a partial answer begins where we are."""
    begins = _RANGE.match(response.headers.get("content-range", ""))
    return begins is not None and int(begins[1]) == position


async def _batches(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body in larger pieces; what came before the connection broke is not lost."""
    batch = bytearray()
    try:
        async for chunk in response.aiter_raw():
            batch += chunk
            if len(batch) >= CHUNK:
                yield bytes(batch)
                batch.clear()
    except httpx.TransportError:
        if batch:
            yield bytes(batch)
        raise
    if batch:
        yield bytes(batch)
