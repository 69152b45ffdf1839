"""Tars that no program writes."""

import tarfile


def negative_size(name: str) -> bytes:
    """A file of -1 bytes."""
    header = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 12  # the size -1 in base 256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"\0" * 1024


def headers_of_headers(count: int = 3000) -> bytes:
    """Extended headers alone, each of which is for the one behind it."""
    header = tarfile.TarInfo("x")
    header.type = tarfile.XHDTYPE
    return header.tobuf(tarfile.USTAR_FORMAT) * count + b"\0" * 1024
