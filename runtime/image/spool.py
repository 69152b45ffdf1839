"""Brings an uploaded archive to disk, uncompressed, so that it can be read in any order."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

from api.errors import Code, SwarmError
from runtime.image.archive import WHAT
from runtime.image.manifest import malformed
from runtime.image.stream import CHUNK, DAMAGED, InvalidLayer, decompress


async def spool(chunks: AsyncIterator[bytes], raw: Path, plain: Path, max_bytes: int) -> Path:
    """Writes the stream to `raw`, and uncompressed to `plain` if it is not so already.

    Returns which of the two is the tar. EXHAUSTED beyond `max_bytes`, INVALID if damaged.
    """
    size = 0
    with raw.open("wb") as file:
        async for chunk in chunks:
            size += len(chunk)
            _bound(size, max_bytes)
            await asyncio.to_thread(file.write, chunk)
    return await asyncio.to_thread(_expand, raw, plain, max_bytes)


def _expand(raw: Path, plain: Path, max_bytes: int) -> Path:
    with io.BufferedReader(io.FileIO(raw), CHUNK) as packed:
        source = decompress(packed)
        if source is packed:
            return raw
        size = 0
        with plain.open("wb") as file:
            try:
                while data := source.read(CHUNK):
                    size += len(data)
                    _bound(size, max_bytes)
                    file.write(data)
            except (InvalidLayer, *DAMAGED) as error:
                raise malformed(WHAT, f"its compression is damaged ({error})") from error
    raw.unlink()
    return plain


def _bound(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise SwarmError(
            Code.EXHAUSTED, f"{WHAT} is too large for this host", why=f"more than {max_bytes} bytes"
        )
