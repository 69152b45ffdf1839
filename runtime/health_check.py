"""The health check of a container, out of its spec and its image's configuration. Pure.

What the spec leaves open is the image's, then Docker's default (moby, daemon/commit.go `merge` and
daemon/health.go). An image whose check cannot be understood is refused rather than run unchecked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.errors import Code, SwarmError
from api.times import NANOS, seconds_of
from api.v1 import specs_pb2

INTERVAL = 30.0
TIMEOUT = 30.0
START_PERIOD = 0.0
START_INTERVAL = 5.0
RETRIES = 3

_SHELL = ("/bin/sh", "-c")
LONGEST = 100 * 366 * 86400
"""Seconds; as of durations in a spec."""


@dataclass(frozen=True)
class HealthCheck:
    """A command that succeeds while the container is well, and when to run it; in seconds."""

    command: tuple[str, ...]
    interval: float = INTERVAL
    timeout: float = TIMEOUT
    start_period: float = START_PERIOD
    start_interval: float = START_INTERVAL
    retries: int = RETRIES


def resolve(spec: specs_pb2.HealthCheck, image: Mapping[str, Any]) -> HealthCheck | None:
    """The check of a container; None: it has none.

    `image`: the section of its configuration that says how to run it. SwarmError if that holds a
    check which cannot be understood; a spec has been through api/validate.py.
    """
    if spec.disabled:
        return None
    own = image.get("Healthcheck") or {}
    if not isinstance(own, Mapping):
        raise _malformed("it is no object")
    command = _command(list(spec.test) or _words(own, "Test"), _words(image, "Shell"))
    if command is None:
        return None
    return HealthCheck(
        command=command,
        interval=seconds_of(spec.interval) or _seconds(own, "Interval") or INTERVAL,
        timeout=seconds_of(spec.timeout) or _seconds(own, "Timeout") or TIMEOUT,
        start_period=seconds_of(spec.start_period) or _seconds(own, "StartPeriod") or START_PERIOD,
        start_interval=(
            seconds_of(spec.start_interval) or _seconds(own, "StartInterval") or START_INTERVAL
        ),
        retries=spec.retries or _number(own, "Retries") or RETRIES,
    )


def _words(section: Mapping[str, Any], key: str) -> list[str]:
    words = section.get(key) or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise _malformed(f"{key} is no list of words")
    return words


def _command(test: Sequence[str], shell: Sequence[str]) -> tuple[str, ...] | None:
    kind, words = test[0] if test else "NONE", tuple(test[1:])
    if kind == "NONE":
        return None
    if kind not in ("CMD", "CMD-SHELL") or not words:
        raise _malformed(f"{list(test)} is no test")
    if kind == "CMD":
        return words
    return (*(shell or _SHELL), *words)


def _seconds(own: Mapping[str, Any], key: str) -> float:
    seconds = _number(own, key) / NANOS
    if seconds > LONGEST:
        raise _malformed(f"{key} is more than a century")
    return seconds


def _number(own: Mapping[str, Any], key: str) -> int:
    value = own.get(key) or 0
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _malformed(f"{key} is {value!r}")
    return value


def _malformed(why: str) -> SwarmError:
    return SwarmError(
        Code.INVALID,
        "the health check of the image is malformed",
        why=why,
        remedy="give another with --health-cmd, or none with --no-healthcheck",
        field="container.health",
    )
