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
    except ValueError as error:
        raise invalid(_FIELD, "the seccomp profile is no JSON", why=str(error)) from None
    if not isinstance(profile, dict) or "defaultAction" not in profile:
        raise invalid(_FIELD, "the seccomp profile has no defaultAction")
    return profile


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
            {key: arg[key] for key in _ARGUMENT_KEYS if key in arg} for arg in entry["args"]
        ]
    return rule
