"""Whether what a spec says of the container itself makes sense: words, health, memory. Pure.

Part of `api.validate`, whose rules hold here too. Labels, mounts and files are looked at elsewhere.
"""

import ipaddress
import re
import signal
from collections.abc import Callable, Iterable, Sequence

from api.errors import invalid
from api.times import seconds_of
from api.v1 import specs_pb2

SHORTEST_PROBE = 0.001
"""Seconds of an interval or a timeout of a health check (moby, daemon/container.go)."""

_CAPABILITY = re.compile(r"(?:CAP_)?[A-Z_]+|ALL", re.IGNORECASE)
_SYSCTL = re.compile(r"[a-z0-9_]+(?:[./][A-Za-z0-9_*-]+)+")
_HOST_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?")
_ULIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"),
    *("rss", "rtprio", "rttime", "sigpending", "stack"),
)
_REAL_TIME = re.compile(r"RTMIN\+\d{1,2}|RTMAX-\d{1,2}")
_SIGNALS = frozenset(name.removeprefix("SIG") for name in signal.Signals.__members__)
_LAST_SIGNAL = 64


def check(path: str, spec: specs_pb2.ContainerSpec) -> None:
    """Refuses what no node could run, but for labels, mounts and files."""
    if not spec.image or any(c.isspace() for c in spec.image):
        raise invalid(f"{path}.image", "an image is needed" if not spec.image else "bad image name")
    _each(f"{path}.env", spec.env, _environment)
    _each(f"{path}.cap_add", spec.cap_add, _capability)
    _each(f"{path}.cap_drop", spec.cap_drop, _capability)
    _each(f"{path}.hosts", spec.hosts, _host_line)
    _each(f"{path}.dns.nameservers", spec.dns.nameservers, _address)
    _each(f"{path}.sysctls", spec.sysctls, _sysctl)
    for index, ulimit in enumerate(spec.ulimits):
        _ulimit(f"{path}.ulimits[{index}]", ulimit)
    if spec.hostname and not _HOST_NAME.fullmatch(spec.hostname):
        raise invalid(f"{path}.hostname", f"{spec.hostname!r} is no valid host name")
    if spec.dir and not spec.dir.startswith("/"):
        raise invalid(f"{path}.dir", f"{spec.dir!r} is not an absolute path")
    if spec.stop_signal and not _is_signal(spec.stop_signal.upper()):
        raise invalid(
            f"{path}.stop_signal", f"{spec.stop_signal!r} is no signal", remedy="see signal(7)"
        )
    _health(f"{path}.health", spec.health)
    _memory_behaviour(path, spec)


def check_swap(together: int, memory: int) -> None:
    """Refuses swap that does not suit the limit of memory: nodes would reject the tasks. Docker's
    rules.
    """
    path = "task.container.memory_swap_bytes"
    if together > 0 and not memory:
        raise invalid(
            path, "swap is limited but memory is not", remedy="give --limit-memory as well"
        )
    if 0 < together < memory:
        raise invalid(
            path,
            "memory and swap together are less than the memory alone",
            remedy="give --memory-swap the sum of both, or -1 for as much swap as there is",
        )


def _health(path: str, given: specs_pb2.HealthCheck) -> None:
    if given.disabled and given != specs_pb2.HealthCheck(disabled=True):
        raise invalid(
            f"{path}.disabled",
            "a health check that is disabled has no settings",
            remedy="give --no-healthcheck, or the other --health flags",
        )
    if given.test and not _is_test(list(given.test)):
        raise invalid(
            f"{path}.test",
            f"{list(given.test)} is no test",
            remedy="give CMD and a command with its arguments, CMD-SHELL and a line, or NONE",
        )
    for name in ("interval", "timeout", "start_period", "start_interval"):
        if 0 < seconds_of(getattr(given, name)) < SHORTEST_PROBE:
            raise invalid(f"{path}.{name}", "must be 0, for the default, or at least 1 ms")


def _is_test(words: Sequence[str]) -> bool:
    if words[0] == "NONE":
        return len(words) == 1
    return words[0] in ("CMD", "CMD-SHELL") and len(words) > 1 and bool(words[1])


def _is_signal(text: str) -> bool:
    if text.isascii() and text.isdecimal() and len(text) <= len(str(_LAST_SIGNAL)):
        return 1 <= int(text) <= _LAST_SIGNAL
    name = text.removeprefix("SIG")
    return name in _SIGNALS or _REAL_TIME.fullmatch(name) is not None


def _memory_behaviour(path: str, spec: specs_pb2.ContainerSpec) -> None:
    if spec.memory_swap_bytes < -1:
        raise invalid(f"{path}.memory_swap_bytes", "must be -1 (unlimited), 0 or a size")
    if spec.HasField("memory_swappiness") and not 0 <= spec.memory_swappiness <= 100:  # noqa: PLR2004
        raise invalid(f"{path}.memory_swappiness", "must be between 0 and 100")
    if not -1000 <= spec.oom_score_adj <= 1000:  # noqa: PLR2004 - the kernel's own bounds
        raise invalid(f"{path}.oom_score_adj", "must be between -1000 and 1000")


def _each(path: str, values: Iterable[str], check: Callable[[str], str]) -> None:
    for index, value in enumerate(values):
        if complaint := check(value):
            raise invalid(f"{path}[{index}]", f"{value!r} {complaint}")


def _environment(value: str) -> str:
    return "" if value.partition("=")[0] else "has no name"


def _capability(value: str) -> str:
    return "" if _CAPABILITY.fullmatch(value) else "is no capability"


def _sysctl(value: str) -> str:
    return "" if _SYSCTL.fullmatch(value) else "is no sysctl"


def _host_line(value: str) -> str:
    parts = value.split()
    if len(parts) < 2:  # noqa: PLR2004 - an address and a name
        return 'is not of the form "address name"'
    return _address(parts[0])


def _address(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return "is no IP address"
    return ""


def _ulimit(path: str, ulimit: specs_pb2.Ulimit) -> None:
    if ulimit.name not in _ULIMITS:
        raise invalid(path, f"{ulimit.name!r} is no ulimit", remedy=f"use {', '.join(_ULIMITS)}")
    if ulimit.hard >= 0 and (ulimit.soft > ulimit.hard or ulimit.soft < 0):
        raise invalid(path, f"the soft limit of {ulimit.name} is above the hard limit")
