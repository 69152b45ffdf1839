"""The process object of a command that is run in a container beside its first process. Pure.

It is the container's own process as far as nothing else is asked for: same environment, directory,
user, limits, and never more capabilities. Docker's rules: root holds the container's bounding set,
others hold capabilities only as a bound; a terminal gets TERM.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from runtime import process, user
from runtime.driver import ExecRequest

_CAPABILITY_SETS = ("bounding", "effective", "permitted")


def build(base: Mapping[str, Any], request: ExecRequest, passwd: str, group: str) -> dict[str, Any]:
    """The `process` of the container's configuration turned into the command's."""
    made = copy.deepcopy(dict(base))
    made["args"] = list(request.command)
    made["terminal"] = request.tty
    made.pop("consoleSize", None)
    if request.tty:
        made["consoleSize"] = {"height": request.rows, "width": request.columns}
    made["cwd"] = request.dir or base["cwd"]
    made["env"] = list(base["env"])
    if request.user:
        _set_user(made, base, user.resolve(request.user, (), passwd, group), passwd)
    made["env"] = _environment(made["env"], request)
    return made


def _set_user(
    made: dict[str, Any], base: Mapping[str, Any], wanted: user.User, passwd: str
) -> None:
    bounding = base["capabilities"]["bounding"]
    made["capabilities"] = dict.fromkeys(_CAPABILITY_SETS, bounding)
    # A HOME that is only the container's user's own is not the other one's.
    own = user.resolve(str(base["user"]["uid"]), (), passwd, "").home
    made["env"] = [entry for entry in made["env"] if entry != f"HOME={own}"]
    process.set_user(made, wanted)


def _environment(base: Iterable[str], request: ExecRequest) -> list[str]:
    found: dict[str, str] = {}
    for entry in base:
        name, _, value = entry.partition("=")
        found[name] = value
    if request.tty:
        found.setdefault("TERM", "xterm")
    return process.with_entries(found, request.env)
