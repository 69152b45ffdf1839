"""The options of the driver sshfs, and the programs that they mean. Pure.

`sshcmd` and `port` are those of the Docker plugin vieux/sshfs. What would make a mount outlast its
lease, or a lock look as if it held, is not among them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.errors import Code, SwarmError, invalid
from runtime.volume.driver import Access, Server, Volume

_MOUNT = ("uid", "gid", "umask", "idmap")
"""Passed on to sshfs as they are."""
_KEYS = ("sshcmd", "port", "identity_file", "host_key", "locks", *_MOUNT)
_PLACE = re.compile(r"(?:([A-Za-z0-9_.-]+)@)?(\[[0-9a-fA-F:.%]+\]|[A-Za-z0-9_.-]+):(/[^\0\n]*)?")
_VALUE = re.compile(r"[A-Za-z0-9_.-]+")
_PORTS = range(1, 65536)
_SSH_PORT = 22
_ALIVE, _MISSED = 3, 3
"""Seconds between two questions to a server that is silent, and how many may go unanswered."""
IDENTITY = "identity"
"""The key of the secret with the private key, instead of `identity_file`."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Where the files are."""

    user: str
    host: str
    path: str
    port: int


def storage_of(options: Mapping[str, str]) -> Storage:
    """What is to be mounted; INVALID if the options are wrong, UNSUPPORTED for a password."""
    for key in options:
        if key == "password":
            raise SwarmError(
                Code.UNSUPPORTED,
                "driver sshfs takes no password",
                why="options are kept, and shown to everybody who looks at the volume",
                remedy=f"give a key as a secret: --secret {IDENTITY}=SECRET",
            )
        if key not in _KEYS:
            raise invalid(
                "driver_options",
                f"driver sshfs has no option {key!r}",
                remedy=f"it knows {', '.join(_KEYS)}",
            )
    found = _PLACE.fullmatch(options.get("sshcmd", ""))
    if found is None or options["sshcmd"].startswith("-"):
        raise invalid(
            "driver_options", "where the files are is missing", remedy="say sshcmd=USER@HOST:/PATH"
        )
    for key in _MOUNT:
        if key in options and not _VALUE.fullmatch(options[key]):
            raise invalid("driver_options", f"{key}={options[key]!r} is no value")
    if options.get("locks", "local") != "local":
        raise invalid("driver_options", "locks can only be local", remedy="say locks=local")
    port = options.get("port", str(_SSH_PORT))
    if not port.isdecimal() or int(port) not in _PORTS:
        raise invalid("driver_options", f"port {port!r} is no port")
    user, host, path = found.groups()
    return Storage(user or "root", host.strip("[]"), path or "/", int(port))


def check(volume: Volume) -> Storage:
    """As `storage_of`, and INVALID where several hosts might trust in locks that are none."""
    storage = storage_of(volume.options)
    if volume.block:
        raise invalid("block", "driver sshfs mounts folders, and no devices")
    if volume.access is Access.MANY_WRITERS and volume.options.get("locks") != "local":
        raise invalid(
            "access",
            "over sshfs a lock of a file holds on its own host only",
            why="two hosts get the same lock at once, so programs that count on it destroy data",
            remedy="say locks=local if yours do not, or use another driver",
        )
    return storage


def server(volume: Volume, connect: str, more: Sequence[str] = ()) -> Server:
    """The programs; `connect`: the command that gives ssh its connection; `more`: options that not
    every sshfs knows.
    """
    storage = check(volume)
    given = [f"{key}={volume.options[key]}" for key in _MOUNT if key in volume.options]
    options = ["passive", "allow_other", "default_permissions", *more, *given]
    if volume.read_only:
        options.append("ro")
    files = {}
    identity = volume.options.get("identity_file", "")
    if IDENTITY in volume.secrets:
        files["identity"] = volume.secrets[IDENTITY]
        identity = "{file:identity}"
    host_key = volume.options.get("host_key", "")
    if host_key:
        files["hosts"] = f"* {host_key}\n".encode()
    return Server(
        command=(
            "sshfs",
            "-f",
            f"{storage.host}:{storage.path}",
            "{target}",
            "-o",
            ",".join(options),
        ),
        transport=_ssh(storage, identity, bool(host_key), connect),
        files=files,
    )


def _ssh(storage: Storage, identity: str, knows_host: bool, connect: str) -> tuple[str, ...]:
    settings = {
        "BatchMode": "yes",
        "ClearAllForwardings": "yes",
        "ControlPath": "none",
        "StrictHostKeyChecking": "yes",
        "ServerAliveInterval": str(_ALIVE),
        "ServerAliveCountMax": str(_MISSED),
        "ProxyUseFdpass": "yes",
        "ProxyCommand": f"{connect} {storage.host} {storage.port}",
    }
    if knows_host:
        settings |= {"UserKnownHostsFile": "{file:hosts}", "GlobalKnownHostsFile": "none"}
    if identity:
        settings |= {"IdentityFile": identity, "IdentitiesOnly": "yes"}
    words = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    return ("ssh", "-x", "-a", "-T", *words, "-l", storage.user, "-s", "--", storage.host, "sftp")
