"""How a backup's key comes out of a passphrase, and the lines of its file that say so.

A backup is this envelope, which whoever has the passphrase writes, and then what a manager sealed
(api/backup_file.py). The envelope, big-endian: magic (8), format version (2), the function (1: 1 is
scrypt, RFC 7914), log2 of its cost N (1), r (4), p (4), salt (16), checksum of all that (4). The
first 10 bytes keep their place in every version. The key is bound to it: another salt, another key.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass

from api.errors import Code, SwarmError, invalid

KEY_BYTES = 32
SALT_BYTES = 16
VERSION = 1
MAGIC = b"SWARMBAK"
_SCRYPT = 1
_VERSIONED = struct.Struct(">8sH")
_FIXED = struct.Struct(f">8sHBBII{SALT_BYTES}s")
_CHECKSUM = struct.Struct(">I")
ENVELOPE_BYTES = _FIXED.size + _CHECKSUM.size
_MOST_MEMORY = 1 << 30
_MOST_PARALLEL = 16
"""What a file may ask for: whoever writes one must not be able to exhaust its reader."""


LOG_N = 17
"""The cost of a new backup's key: 128 MiB and half a second for each passphrase tried (OWASP)."""


@dataclass(frozen=True, slots=True)
class KeySource:
    """The salt, and how hard it is to try passphrases."""

    salt: bytes
    log_n: int = LOG_N
    r: int = 8
    p: int = 1

    def key(self, passphrase: str) -> bytes:
        """The 32 bytes that BackupRequest.key wants; takes a while. INVALID if it is empty."""
        if not passphrase:
            raise invalid("passphrase", "an empty passphrase protects nothing")
        return hashlib.scrypt(
            passphrase.encode(),
            salt=self.salt,
            n=1 << self.log_n,
            r=self.r,
            p=self.p,
            maxmem=_memory(self) + (1 << 20),
            dklen=KEY_BYTES,
        )

    def envelope(self) -> bytes:
        """The beginning of the file."""
        fixed = _FIXED.pack(MAGIC, VERSION, _SCRYPT, self.log_n, self.r, self.p, self.salt)
        return fixed + _CHECKSUM.pack(zlib.crc32(fixed))


def read_envelope(data: bytes) -> KeySource:
    """What the first ENVELOPE_BYTES of a backup say.

    REFUSED if they are no backup's, or damaged; UNSUPPORTED if a later version wrote them.
    """
    if len(data) < _VERSIONED.size or not data.startswith(MAGIC):
        raise SwarmError(Code.REFUSED, "this file is no backup of a swarm")
    _, version = _VERSIONED.unpack_from(data)
    if version > VERSION:
        raise newer(version)
    fixed, check = data[: _FIXED.size], data[_FIXED.size : ENVELOPE_BYTES]
    if len(data) < ENVELOPE_BYTES or _CHECKSUM.unpack(check)[0] != zlib.crc32(fixed):
        raise damaged("its first lines were altered, or it was cut off")
    _, _, function, log_n, r, p, salt = _FIXED.unpack(fixed)
    source = KeySource(salt, log_n, r, p)
    sensible = function == _SCRYPT and 1 <= log_n < 32 and r and 1 <= p <= _MOST_PARALLEL  # noqa: PLR2004
    if not sensible or _memory(source) > _MOST_MEMORY:
        raise damaged("it asks for a key in a way that no swarm does")
    return source


def damaged(why: str) -> SwarmError:
    """The refusal of a backup that is not what was written."""
    return SwarmError(
        Code.REFUSED,
        "the backup is damaged",
        why=why,
        remedy="use another copy of it, or an older backup",
    )


def newer(version: int) -> SwarmError:
    """The refusal of a backup that only a later version can read."""
    return SwarmError(
        Code.UNSUPPORTED,
        "the backup cannot be read",
        why=f"it has format version {version}, known is {VERSION}",
        remedy="run the version of swarmctl that wrote it, or a later one",
    )


def _memory(source: KeySource) -> int:
    return int(128 * source.r * ((1 << source.log_n) + source.p))
