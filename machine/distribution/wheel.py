"""Packs a distribution into a wheel: the same content gives the same bytes, wherever and whenever
it is packed. Pure: files come in as bytes. The format is that of PEP 427 and PEP 376.
"""

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from api.errors import Code, SwarmError

NAME = "swarmctl"
TAG = "py3-none-any"
_DIGEST_LENGTH = 10
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_WHEEL = f"Wheel-Version: 1.0\nGenerator: {NAME}\nRoot-Is-Purelib: true\nTag: {TAG}\n"
_REPLACED = ("Version:", "Requires-Dist:")
_SEPARATORS = re.compile(r"[-_.]+")
_PIN = re.compile(r"^Requires-Dist: ([\w.-]+)==([^\s;,]+)$", re.MULTILINE)
_FILE_NAME = re.compile(rf"{NAME}-([A-Za-z0-9.!+_]{{1,80}})-{TAG}\.whl")


@dataclass(frozen=True)
class Parts:
    """What a wheel is made of."""

    files: Mapping[str, bytes]  # of the packages, by their path in the wheel
    metadata: str  # METADATA of another packing of it
    others: Mapping[str, bytes]  # entry_points.txt and the like: what stands beside METADATA


def version_of(parts: Parts) -> str:
    """Its version and a digest of its content, which tells two states of a checkout apart.

    A version that carries one is left as it is: so a host that was installed from a wheel packs
    that same wheel again.
    """
    version = _field(parts.metadata, "Version")
    if "+" in version:
        return version
    digest = hashlib.sha256()
    for path, content in sorted({**parts.files, **parts.others}.items()):
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    # The letter keeps PEP 440 from reading a digest of figures alone as a number.
    return f"{version}+c{digest.hexdigest()[:_DIGEST_LENGTH]}"


def file_name(version: str) -> str:
    """What the wheel of a version is called."""
    return f"{NAME}-{version}-{TAG}.whl"


def version_in(name: str) -> str:
    """The version that the name of a file tells; INVALID if it is no wheel of ours."""
    found = _FILE_NAME.fullmatch(name)
    if found is None:
        raise SwarmError(
            Code.INVALID, f"{name} is not our distribution", why=f"it is not {file_name('VERSION')}"
        )
    return found[1]


def pack(parts: Parts, version: str, pins: Mapping[str, str]) -> bytes:
    """The wheel. `pins`: release by name of each library, which nodes get in just that release."""
    folder = f"{NAME}-{version}.dist-info"
    content = dict(parts.files)
    content[f"{folder}/METADATA"] = _metadata(parts.metadata, version, pins).encode()
    content[f"{folder}/WHEEL"] = _WHEEL.encode()
    content |= {f"{folder}/{name}": data for name, data in parts.others.items()}
    record = f"{folder}/RECORD"
    content[record] = "".join(_rows(content, record)).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(content, key=lambda path: (path.startswith(folder), path)):
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.external_attr = _MODE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content[path])
    return packed.getvalue()


def library(name: str) -> str:
    """The name of a library, spelled as all of its spellings are compared (PEP 503)."""
    return _SEPARATORS.sub("-", name).lower()


def pinned(name: str, packed: bytes) -> dict[str, str]:
    """The release by name of each library that a wheel takes in no other; INVALID if the file
    `name` is none.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            (path,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
            head = archive.read(path).decode().partition("\n\n")[0]
    except (zipfile.BadZipFile, ValueError) as error:
        raise SwarmError(Code.INVALID, f"{name} is no wheel", why=str(error)) from None
    return {library(each): release for each, release in _PIN.findall(head)}


def _rows(content: Mapping[str, bytes], record: str) -> Iterable[str]:
    for path, data in sorted(content.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        yield f"{path},sha256={digest},{len(data)}\n"
    yield f"{record},,\n"


def _metadata(text: str, version: str, pins: Mapping[str, str]) -> str:
    """METADATA with another version, and releases in place of what is asked of libraries."""
    head, blank, body = text.partition("\n\n")
    kept = [line for line in head.split("\n") if not line.startswith(_REPLACED)]
    kept += [f"Version: {version}"]
    kept += [f"Requires-Dist: {name}=={release}" for name, release in sorted(pins.items())]
    return "\n".join(kept) + blank + body


def _field(metadata: str, name: str) -> str:
    for line in metadata.split("\n"):
        if line.startswith(f"{name}: "):
            return line.partition(": ")[2].strip()
    raise SwarmError(Code.INTERNAL, f"our own metadata tells no {name}")
