"""Contexts: names for swarms and how to reach them, kept in the operator's own configuration.

One file per context below `$XDG_CONFIG_HOME/swarmctl` (else `~/.config/swarmctl`), readable by
the operator alone, always replaced as a whole. Holds addresses and the path of a certificate's
folder; never a key. The empty name means: no context, the daemon on this host.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from api.errors import Code, SwarmError, invalid
from swarmctl.cli import configuration

_PART = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_NAME = re.compile(rf"{_PART}(/{_PART})?")
_UNIX = re.compile(r"unix:///[^\0]+")
_TCP = re.compile(r"tcp://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:[0-9]{1,5})?")


@dataclass(frozen=True)
class Context:
    """`hosts` are tried in turn; `cert_dir` holds ca.pem, cert.pem and key.pem for tcp:// hosts."""

    name: str
    hosts: tuple[str, ...]  # "unix:///path" or "tcp://host[:port]"
    cert_dir: str = ""


def load_all() -> dict[str, Context]:
    """Every context by its name, in order of names."""
    names = sorted(unquote(path.stem) for path in _folder().glob("*.json"))
    return {name: get(name) for name in names if _NAME.fullmatch(name)}


def is_there(name: str) -> bool:
    """Whether there is a context of that name, be it damaged; INVALID if it is no name."""
    return _path(name).exists()


def get(name: str) -> Context:
    """The context of that name; NOT_FOUND if there is none."""
    path = _path(name)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Context(name, tuple(content["hosts"]), content.get("cert_dir", ""))
    except FileNotFoundError:
        raise SwarmError(
            Code.NOT_FOUND,
            f"there is no context {name}",
            remedy="see them with swarmctl context ls",
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SwarmError(
            Code.INVALID,
            f"context {name} cannot be read",
            why=f"{path}: {error}",
            remedy=f"remove it with swarmctl context rm {name}, and create it again",
        ) from None


def save(context: Context) -> None:
    """Create or replace a context. INVALID if its name or a host is not well formed."""
    path = _path(context.name)
    if not context.hosts:
        raise invalid("hosts", "a context needs at least one host")
    for host in context.hosts:
        if not _UNIX.fullmatch(host) and not _TCP.fullmatch(host):
            raise invalid(
                "hosts", f"{host!r} is no address", remedy="use unix:///PATH or tcp://HOST:PORT"
            )
    document = {"hosts": list(context.hosts), "cert_dir": context.cert_dir}
    configuration.write(path, json.dumps(document, indent=2) + "\n")


def remove(name: str) -> None:
    """Forget a context; one that is missing is no error. The current one gives way to none."""
    _path(name).unlink(missing_ok=True)
    if current() == name:
        use("")


def current() -> str:
    """The name of the context in use; empty if there is none."""
    try:
        return _current_file().read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def use(name: str) -> None:
    """Make a context the current one; an empty name ends the use of any. NOT_FOUND if missing."""
    if not name:
        _current_file().unlink(missing_ok=True)
        return
    get(name)
    configuration.write(_current_file(), name + "\n")


def _folder() -> Path:
    return configuration.folder() / "contexts"


def _current_file() -> Path:
    return configuration.folder() / "current-context"


def _path(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise invalid(
            "name",
            f"{name!r} is no name for a context",
            why="it takes letters, digits, '_', '.' and '-', and one '/' at most",
        )
    return _folder() / f"{quote(name, safe='')}.json"
