"""The uncompressed stream of a layer: gzip, zstd or plain, hashed, bounded, and read once forwards.

Used by the unpacking process; imports nothing that opens a socket.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from typing import IO, Any, Protocol

import zstandard
from isal import igzip, igzip_lib

from runtime.image import digest as digests

CHUNK = 1 << 20
_IsalError: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]  # wrong stub
DAMAGED = (gzip.BadGzipFile, _IsalError, zlib.error, zstandard.ZstdError, EOFError)
"""What reading a damaged gzip or zstd stream raises."""
NO_TAR = (tarfile.TarError, ValueError, OverflowError, RecursionError)
"""What tarfile raises where no tar is: the last for headers that only lead to further ones."""
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_MAX_ZSTD_WINDOW = 128 << 20
_MAX_READ = 4 << 20


class InvalidLayer(Exception):
    """The layer is not what a layer may be; the text says why."""


class LimitExceeded(InvalidLayer):
    """The layer is larger than this host unpacks."""


class Source(Protocol):
    """Something to read bytes from; less than asked for is fine, nothing means the end."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` next bytes."""


class Section(io.RawIOBase):
    """Exactly `size` bytes of an open file, from where it stands; a short file is an error."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        """It is made for reading."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # any buffer
        """Fills `buffer`, as RawIOBase asks."""
        data = self._file.read(min(len(buffer), self._left))
        if not data and self._left:
            raise InvalidLayer("the file ends early")
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


def decompress(file: io.BufferedReader[Any]) -> Source:
    """The uncompressed bytes of `file`, whose first bytes tell: gzip, zstd, or plain."""
    head = file.peek(4)[:4]
    if head.startswith(_GZIP):
        unzipped: Source = igzip.GzipFile(fileobj=file, mode="rb")  # type: ignore[no-untyped-call]
        return unzipped
    if head == _ZSTD:
        decoder = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW)
        return decoder.stream_reader(file, read_size=CHUNK, read_across_frames=True)
    return file


class ForwardReader:
    """A file object for tarfile over a source that cannot seek: hashes all, and stops bombs.

    Keeps `last`, what was read last: how tarfile saw the end of the archive.
    """

    def __init__(self, source: Source, *, digest: str, max_bytes: int) -> None:
        self._source = source
        self._hash = digests.hasher(digest)
        self._max_bytes = max_bytes
        self._position = 0
        self.last = b""

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, less only at the end."""
        if not 0 <= size <= _MAX_READ:
            raise InvalidLayer(f"a header of {size} bytes")
        parts = []
        missing = size
        while missing:
            part = self._source.read(missing)
            if not part:
                break
            missing -= len(part)
            parts.append(part)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self._position += len(data)
        if self._position > self._max_bytes:
            raise LimitExceeded(f"it unpacks to more than {self._max_bytes} bytes")
        self._hash.update(data)
        self.last = data
        return data

    def tell(self) -> int:
        """Bytes read so far."""
        return self._position

    def seek(self, position: int) -> int:
        """Reads on to `position`; there is no way back."""
        if position < self._position:
            raise InvalidLayer("an archive that would have to be read twice")
        while self._position < position:
            if not self.read(min(CHUNK, position - self._position)):
                raise InvalidLayer("it ends early")
        return position

    def so_far(self) -> str:
        """The hash of everything up to here, in hexadecimal."""
        return self._hash.hexdigest()

    def drain(self) -> str:
        """Reads what is left; the hash of everything, in hexadecimal."""
        while self.read(CHUNK):
            pass
        return self.so_far()
