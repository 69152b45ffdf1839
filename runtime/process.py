"""The process of a container: arguments, environment, directory, user, limits. Pure.

Docker's rules: `command` replaces the image's entrypoint and with it the image's own arguments,
`args` replaces those arguments; environment is PATH, HOSTNAME, TERM, the image's, then the spec's,
where a name without a value takes the variable away.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from api.errors import invalid
from api.v1 import specs_pb2
from runtime import capabilities
from runtime.host_facts import UNLIMITED, HostFacts
from runtime.user import User

log = logging.getLogger(__name__)

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CAPABILITY_SETS = ("bounding", "effective", "permitted")
_INFINITY = 2**64 - 1
_OOM_SCORES = range(-1000, 1001)


def arguments(spec: specs_pb2.ContainerSpec, image: Mapping[str, Any]) -> list[str]:
    """The argument vector; refuses an empty one."""
    entrypoint = list(spec.command) or list(image.get("Entrypoint") or ())
    image_args = [] if spec.command else list(image.get("Cmd") or ())
    found = entrypoint + (list(spec.args) or image_args)
    if not found:
        raise invalid(
            "container.command",
            "no command specified",
            why="neither the spec nor the image names one",
            remedy="give a command",
        )
    return found


def environment(
    spec: specs_pb2.ContainerSpec, image: Mapping[str, Any], hostname: str
) -> list[str]:
    """NAME=value entries, each name once, at its first place with its last value."""
    found = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname}
    if spec.tty:
        found["TERM"] = "xterm"
    return with_entries(found, (*(image.get("Env") or ()), *spec.env))


def with_entries(found: dict[str, str], entries: Iterable[str]) -> list[str]:
    """NAME=value of what was found, as changed by the entries: a NAME alone takes it away."""
    for entry in entries:
        name, equals, value = entry.partition("=")
        if equals:
            found[name] = value
        else:
            found.pop(name, None)
    return [f"{name}={value}" for name, value in found.items()]


def directory(spec: specs_pb2.ContainerSpec, image: Mapping[str, Any]) -> str:
    """The working directory, always absolute."""
    found: str = spec.dir or image.get("WorkingDir") or "/"
    return found if found.startswith("/") else "/" + found


def user_text(spec: specs_pb2.ContainerSpec, image: Mapping[str, Any]) -> str:
    """The user as written, the spec's before the image's; empty: root."""
    found: str = spec.user or image.get("User") or ""
    return found


def rlimits(ulimits: Iterable[specs_pb2.Ulimit], host: HostFacts) -> list[dict[str, Any]]:
    """Limits as asked for, cut to what this host can grant: asking for more fails the start."""
    found = {}
    for index, limit in enumerate(ulimits):
        field = f"container.ulimits[{index}]"
        name = "RLIMIT_" + limit.name.upper().removeprefix("RLIMIT_")
        if name not in host.hard_limits:
            raise invalid(field, f"unknown limit {limit.name!r}", remedy="see getrlimit(2)")
        soft, hard = _finite(limit.soft), _finite(limit.hard)
        if soft > hard:
            raise invalid(field, f"the soft limit of {limit.name} is above the hard limit")
        ceiling = _finite(host.hard_limits[name])
        if hard > ceiling:
            log.warning("%s cut from %d to %d, the most this host grants", name, hard, ceiling)
        found[name] = {"type": name, "soft": min(soft, ceiling), "hard": min(hard, ceiling)}
    return list(found.values())


def _finite(limit: int) -> int:
    return _INFINITY if limit == UNLIMITED else limit


def oom_score(spec: specs_pb2.ContainerSpec, host: HostFacts) -> int | None:
    """The OOM score adjustment; None: inherited. Cut to the daemon's own where it must be."""
    wanted = spec.oom_score_adj
    if wanted not in _OOM_SCORES:
        raise invalid("container.oom_score_adj", f"{wanted} is not between -1000 and 1000")
    if wanted == 0:
        return None
    if wanted < host.oom_score_adj and not host.may_raise:
        log.warning("oom_score_adj raised from %d to %d", wanted, host.oom_score_adj)
        return host.oom_score_adj
    return wanted


def build(
    spec: specs_pb2.ContainerSpec, image: Mapping[str, Any], hostname: str, host: HostFacts
) -> dict[str, Any]:
    """The `process` object for root; `set_user` makes it another's."""
    held = capabilities.resolve(spec.cap_add, spec.cap_drop, host.capabilities)
    found: dict[str, Any] = {
        "terminal": spec.tty,
        "user": {"uid": 0, "gid": 0},
        "args": arguments(spec, image),
        "env": environment(spec, image, hostname),
        "cwd": directory(spec, image),
        "capabilities": dict.fromkeys(_CAPABILITY_SETS, held),
        "noNewPrivileges": not spec.privileges.no_new_privileges_off,
        "rlimits": rlimits(spec.ulimits, host),
    }
    score = oom_score(spec, host)
    if score is not None:
        found["oomScoreAdj"] = score
    if spec.privileges.apparmor_profile:
        found["apparmorProfile"] = spec.privileges.apparmor_profile
    if spec.privileges.selinux_label:
        found["selinuxLabel"] = spec.privileges.selinux_label
    return found


def set_user(process: dict[str, Any], user: User) -> None:
    """Puts the user in, with HOME; whoever is not root holds capabilities only as a bound."""
    process["user"] = {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)}
    if not _has(process["env"], "HOME"):
        process["env"].append(f"HOME={user.home}")
    if user.uid != 0:
        process["capabilities"] = {"bounding": process["capabilities"]["bounding"]}


def _has(env: Sequence[str], name: str) -> bool:
    return any(entry.startswith(name + "=") for entry in env)
