"""A seccomp profile, as Docker and Podman write them, turned into the OCI form. Pure.

The default profile (default_seccomp.json) descends from that of containers/common (Apache-2.0),
with its hole closed: there `unshare`, `setns`, `clone`, `clone3` and the mount calls were allowed
outright (containers/common#1988), hence new user namespaces, and with them most of the kernel's
attack surface. As Docker does, they need CAP_SYS_ADMIN here; clone without it makes no namespaces.
"""

import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from api.errors import invalid

UNCONFINED = "unconfined"
_FIELD = "container.privileges.seccomp_profile"
_TO_OCI_ARCH = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
_TO_PROFILE_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}
_ARGUMENT_KEYS = ("index", "value", "valueTwo", "op")

_MAX_NUMBER = (1 << 64) - 1
_SCOPE = {"arches": [str], "caps": [str]}
_SHAPE = {
    "defaultAction": str,
    "defaultErrnoRet": int,
    "architectures": [str],
    "archMap": [{"architecture": str, "subArchitectures": [str]}],
    "syscalls": [
        {
            "names": [str],
            "name": str,
            "action": str,
            "errnoRet": int,
            "includes": _SCOPE,
            "excludes": _SCOPE,
            "args": [{"index": int, "value": int, "valueTwo": int, "op": str}],
        }
    ],
}
"""What is read of a profile; a list holds the shape of each of its parts."""
_NEEDED = frozenset({"defaultAction", "architecture", "action", "index", "value", "op"})

Profile = Mapping[str, Any]


@functools.cache
def default_profile() -> Profile:
    """The profile of containers that name none."""
    text = resources.files("runtime").joinpath("default_seccomp.json").read_text()
    profile: dict[str, Any] = json.loads(text)
    return profile


def choose(text: str) -> Profile | None:
    """The profile that a spec's field means; None for "unconfined"."""
    if not text:
        return default_profile()
    if text == UNCONFINED:
        return None
    try:
        profile = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid(_FIELD, "the seccomp profile is no JSON", why=str(error)) from None
    if flaw := _flaw(profile, _SHAPE):
        raise invalid(_FIELD, "the seccomp profile is malformed", why=flaw)
    found: Profile = profile
    return found


def _flaw(value: object, shape: Any, place: str = "") -> str:  # noqa: ANN401  # as in _SHAPE
    """What at `place` is not of this shape; empty: all is."""
    if isinstance(shape, dict):
        return _flaw_of_object(value, shape, place)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{place} is no list"
        flaws = (_flaw(each, shape[0], f"{place}[{n}]") for n, each in enumerate(value))
        return next(filter(None, flaws), "")
    if shape is int:
        fits = isinstance(value, int) and 0 <= value <= _MAX_NUMBER
        return "" if fits else f"{place} is no number from 0 to {_MAX_NUMBER}"
    fits = isinstance(value, str) and value.isascii() and value.isprintable()
    return "" if fits else f"{place} is no plain text"


def _flaw_of_object(value: object, shape: Mapping[str, Any], place: str) -> str:
    """The same of an object, in which a null is as if it were not there."""
    if not isinstance(value, dict):
        return f"{place or 'it'} is no object"
    given = {key: each for key, each in value.items() if each is not None}
    missing = [key for key in shape if key in _NEEDED and key not in given]
    if "names" in shape and not given.get("names") and not given.get("name"):
        missing.append("names")
    if missing:
        return f"{place or 'it'} has no {missing[0]}"
    before = f"{place}." if place else ""
    flaws = (_flaw(given[key], shape[key], before + key) for key in shape if key in given)
    return next(filter(None, flaws), "")


def to_oci(profile: Profile, capabilities: frozenset[str], machine: str) -> dict[str, Any]:
    """`linux.seccomp` for a process that holds these capabilities on `machine` (uname -m)."""
    found: dict[str, Any] = {
        "defaultAction": profile["defaultAction"],
        "architectures": _architectures(profile, machine),
        "syscalls": [
            _rule(entry)
            for entry in profile.get("syscalls") or ()
            if _applies(entry, capabilities, _TO_PROFILE_ARCH.get(machine, machine))
        ],
    }
    if profile.get("defaultErrnoRet") is not None:
        found["defaultErrnoRet"] = profile["defaultErrnoRet"]
    return found


def _architectures(profile: Profile, machine: str) -> list[str]:
    if profile.get("architectures"):
        return list(profile["architectures"])
    native = _TO_OCI_ARCH.get(machine)
    for entry in profile.get("archMap") or ():
        if entry["architecture"] == native:
            return [native, *(entry.get("subArchitectures") or ())]
    return [native] if native else []


def _applies(entry: Mapping[str, Any], capabilities: frozenset[str], arch: str) -> bool:
    includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
    arches = includes.get("arches")
    if arches and arch not in arches:
        return False
    if arch in (excludes.get("arches") or ()):
        return False
    if not capabilities.issuperset(includes.get("caps") or ()):
        return False
    return capabilities.isdisjoint(excludes.get("caps") or ())


def _rule(entry: Mapping[str, Any]) -> dict[str, Any]:
    names = entry.get("names") or [entry["name"]]
    rule: dict[str, Any] = {"names": list(names), "action": entry["action"]}
    if entry.get("errnoRet") is not None:
        rule["errnoRet"] = entry["errnoRet"]
    if entry.get("args"):
        rule["args"] = [
            {key: arg[key] for key in _ARGUMENT_KEYS if arg.get(key) is not None}
            for arg in entry["args"]
        ]
    return rule
