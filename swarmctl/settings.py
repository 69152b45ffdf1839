"""What a daemon is told at its start: flags, their environment twins, and an optional file.

A flag wins over the environment, the environment over the file. Holds no state of the swarm.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from api.address import join_address, split_address
from api.errors import Code, SwarmError
from api.generic import declared
from api.host_api import PORT as API_PORT
from overlay_net.encrypt.key_ring import AGE
from overlay_net.encrypt.wanted import PORT
from swarmctl.cli.units import parse_duration

DEFAULT_FILE = Path("/etc/swarm/swarmd.toml")
KERNEL = "kernel"
NETWORKS = (KERNEL, "none")


@dataclass(frozen=True)
class Settings:
    """Settings of one daemon. Paths are absolute; no link is in its own folders, once loaded."""

    state_dir: Path = Path("/var/lib/swarm")
    """What survives a reboot: membership, log, images, containers' files. On a real file system."""
    run_dir: Path = Path("/run/swarm")
    """Sockets and the state of running containers. Short: socket paths end at 107 bytes."""
    cgroup_parent: str = "/swarm"
    insecure_registries: tuple[str, ...] = ()
    """Registries, as HOST[:PORT] or CIDR, that may be spoken to over plain HTTP."""
    registry_cas: Mapping[str, Path] = field(default_factory=dict)
    """Own certificate authorities, by registry."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Engine labels of this node."""
    node_generic_resources: tuple[str, ...] = ()
    """What tasks may reserve of this node beside CPU and memory, as api.generic reads it."""
    networks: str = KERNEL
    """Where networks of tasks are built: in the kernel of this host; or "none", so that its links,
    routes and rules are left alone, and it gets only tasks that are in no network of the swarm.
    """
    look_at_networks_every: float = 30.0
    """Seconds between looks at what the kernel has of networks, which put right what others changed
    by hand; 0 for never.
    """
    open_firewalls: bool = False
    """Whether other programs' firewalls that drop what this host forwards for networks are told,
    without being asked each time, to let it pass.
    """
    wireguard_port: int = PORT
    """UDP, where this node takes what others encrypted for it; managers tell them."""
    network_key_age: float = AGE
    """Seconds after which this node makes another key for encrypted networks."""
    plugin_dir: Path = Path("/run/docker/plugins")
    """Where volume plugins of Docker's protocol put their sockets."""
    serve_volumes_in: Path | None = None
    """Where Docker finds this host's volumes, as plugins; None: nowhere."""
    api_listen: str = ""
    """HOST:PORT where this host's API is served over mutual TLS, beside the socket; empty: nowhere.
    """
    api_cert: Path | None = None
    api_key: Path | None = None
    """The certificate that the API shows, and its key."""
    api_ca: Path | None = None
    """The authorities whose operators may use it."""
    api_crl: Path | None = None
    """Certificates of theirs that were revoked, as one of them signed it. It may be missing."""
    log_level: str = "info"

    @property
    def socket(self) -> Path:
        """Where the operator on this host speaks to the daemon."""
        return self.run_dir / "swarmd.sock"


def load(path: Path | None, overrides: Mapping[str, Any]) -> Settings:
    """Settings from the file (DEFAULT_FILE if None and present) and from what flags gave."""
    given: dict[str, Any] = _read(path)
    unknown = set(given) - {each.name for each in fields(Settings)}
    if unknown:
        raise SwarmError(
            Code.INVALID,
            f"{path or DEFAULT_FILE}: unknown setting {', '.join(sorted(unknown))}",
            remedy=f"known are: {', '.join(each.name for each in fields(Settings))}",
        )
    given |= overrides
    for name, value in given.items():
        _check(name, value)
    for name in _PATHS:
        if name in given:
            given[name] = Path(given[name]).absolute()
    for name in _FOLDERS:  # without links, as the table of mounts has what is mounted below them
        given[name] = Path(os.path.realpath(given.get(name, getattr(Settings, name))))
    if "registry_cas" in given:
        given["registry_cas"] = {k: Path(v) for k, v in given["registry_cas"].items()}
    if "network_key_age" in given:
        given["network_key_age"] = parse_duration(given["network_key_age"])
    for name in _LISTS & given.keys():
        given[name] = tuple(given[name])
    declared(given.get("node_generic_resources", ()))
    if "api_listen" in given:
        given["api_listen"] = _api_address(given)
    return Settings(**given)


_API_FILES = ("api_cert", "api_key", "api_ca")
_FOLDERS = ("state_dir", "run_dir")
_PATHS = (
    *_FOLDERS,
    "plugin_dir",
    "serve_volumes_in",
    *_API_FILES,
    "api_crl",
)
_LISTS = frozenset({"insecure_registries", "node_generic_resources"})
_LEVELS = ("debug", "info", "warning", "error")
_PORTS = range(1, 65536)
_SHORTEST_AGE = 60
"""Seconds: it takes up to twenty until the managers hear of a new key."""


def _check(name: str, value: object) -> None:
    """Refuses a value of the wrong type: a file may hold anything."""
    match name:
        case "log_level":
            right, wanted = value in _LEVELS, f"one of {', '.join(_LEVELS)}"
        case "networks":
            right, wanted = value in NETWORKS, f"one of {', '.join(NETWORKS)}"
        case "look_at_networks_every":
            right = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
            wanted = "a number of seconds"
        case "open_firewalls":
            right, wanted = isinstance(value, bool), "true or false"
        case "insecure_registries" | "node_generic_resources":
            right = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
            wanted = "a list of texts"
        case "registry_cas" | "labels":
            right = isinstance(value, Mapping) and all(_is_text(v) for v in value.values())
            wanted = "a table of texts"
        case "wireguard_port":
            right = isinstance(value, int) and not isinstance(value, bool) and value in _PORTS
            wanted = f"a number from {_PORTS.start} to {_PORTS.stop - 1}"
        case "network_key_age":
            right, wanted = _is_age(value), f"a duration as 168h, of {_SHORTEST_AGE} s at least"
        case _:
            right, wanted = _is_text(value), "a text"
    if not right:
        raise SwarmError(
            Code.INVALID, f"the setting {name} is {value!r}", why=f"it must be {wanted}"
        )


def _api_address(given: Mapping[str, Any]) -> str:
    """Where the API listens, as host:port; it is served in secret or not at all."""
    address = split_address(given["api_listen"], field="api_listen", default_port=API_PORT)
    missing = [name for name in _API_FILES if name not in given]
    if missing:
        raise SwarmError(
            Code.INVALID,
            "the host's API is served over mutual TLS only",
            why=f"api_listen is set, and {', '.join(missing)} is not",
            remedy="name the certificate, its key, and the authority of those who may call",
        )
    return join_address(*address)


def _is_age(value: object) -> bool:
    try:
        return isinstance(value, str) and parse_duration(value) >= _SHORTEST_AGE
    except ValueError:
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str | Path) and bool(str(value))


def _read(path: Path | None) -> dict[str, Any]:
    if path is None and not DEFAULT_FILE.exists():
        return {}
    try:
        return tomllib.loads((path or DEFAULT_FILE).read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SwarmError(
            Code.INVALID, f"cannot read {path or DEFAULT_FILE}", why=str(error)
        ) from error
