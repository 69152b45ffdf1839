"""Where a plugin of Docker's protocol listens, read from the file that announces it. Pure.

A `.sock` is the place itself, a `.spec` holds a URL, a `.json` a URL and files for TLS. A path in
the URL is ignored, as Docker does.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from api.errors import Code, SwarmError

_LOCAL_HOST = "plugin.localhost"  # HTTP wants a host, also where there is none
_SOCKET_PATH_LIMIT = 107


@dataclass(frozen=True, slots=True)
class Tls:
    """How to talk in secret: which root to trust (empty: the system's), and who we are there."""

    verify: bool = True
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """`base` as "http://host:port"; `socket` if it is reached through one; told by a file."""

    base: str
    told_by: Path
    socket: Path | None = None
    tls: Tls | None = None


def of_socket(path: Path, told_by: Path) -> Address:
    """A plugin that listens on a unix socket."""
    if len(bytes(path)) > _SOCKET_PATH_LIMIT:
        raise _wrong(told_by, f"the path of its socket has more than {_SOCKET_PATH_LIMIT} bytes")
    return Address(f"http://{_LOCAL_HOST}", told_by, path)


def read_spec(data: bytes, told_by: Path) -> Address:
    """What a `.spec` file says."""
    return _of_url(_text(data, told_by).strip(), None, told_by)


def read_json(data: bytes, told_by: Path) -> Address:
    """What a `.json` file says. Without a CAFile the system's roots are trusted.

    Docker trusts anybody then; here only `InsecureSkipVerify` does that.
    """
    try:
        document = json.loads(_text(data, told_by))
    except (ValueError, RecursionError):
        raise _wrong(told_by, "it is not JSON") from None
    if not isinstance(document, dict):
        raise _wrong(told_by, "it is not a JSON object")
    return _of_url(_string(document, "Addr", told_by), _tls(document, told_by), told_by)


def _tls(document: dict[str, Any], told_by: Path) -> Tls | None:
    given = document.get("TLSConfig")
    if given is None:
        return None
    if not isinstance(given, dict) or not isinstance(given.get("InsecureSkipVerify", False), bool):
        raise _wrong(told_by, "its TLSConfig is malformed")
    tls = Tls(
        verify=not given.get("InsecureSkipVerify", False),
        ca_file=_string(given, "CAFile", told_by),
        certificate_file=_string(given, "CertFile", told_by),
        key_file=_string(given, "KeyFile", told_by),
    )
    if bool(tls.certificate_file) != bool(tls.key_file):
        raise _wrong(told_by, "CertFile and KeyFile go together")
    return tls


def _of_url(url: str, tls: Tls | None, told_by: Path) -> Address:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _wrong(told_by, f"{url[:200]!r} is no URL") from None
    if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/"):
        return of_socket(Path(parts.path), told_by)
    if parts.scheme not in ("tcp", "http", "https") or not parts.hostname:
        why = f"{url[:200]!r} is neither unix:///PATH nor tcp://, http:// or https:// with a host"
        raise _wrong(told_by, why)
    if parts.scheme == "https":
        tls = tls or Tls()
    return Address(f"{'https' if tls else 'http'}://{_authority(parts, port)}", told_by, tls=tls)


def _authority(parts: SplitResult, port: int | None) -> str:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if port is None else f"{host}:{port}"


def _string(document: dict[str, Any], key: str, told_by: Path) -> str:
    value = document.get(key, "")
    if not isinstance(value, str):
        raise _wrong(told_by, f"{key} is not a text")
    return value


def _text(data: bytes, told_by: Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _wrong(told_by, "it is not text") from None


def _wrong(told_by: Path, why: str) -> SwarmError:
    return SwarmError(
        Code.UNAVAILABLE,
        f"{told_by} does not tell where a plugin is",
        why=why,
        remedy="correct that file",
    )
