"""A check out of what the user says, what the image says, and the defaults."""

from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.times import duration
from api.v1 import specs_pb2
from runtime.health_check import HealthCheck, resolve

SECOND = 1_000_000_000
IMAGE = {
    "Test": ["CMD", "ask"],
    "Interval": 7 * SECOND,
    "Timeout": 6 * SECOND,
    "StartPeriod": 5 * SECOND,
    "StartInterval": 4 * SECOND,
    "Retries": 2,
}


def spec(*test: str, retries: int = 0, disabled: bool = False, **times: float) -> Any:
    made = specs_pb2.HealthCheck(test=test, retries=retries, disabled=disabled)
    for name, seconds in times.items():
        getattr(made, name).CopyFrom(duration(seconds))
    return made


def test_nothing_is_asked_for() -> None:
    assert resolve(spec(), {}) is None
    assert resolve(spec(), {"Healthcheck": None}) is None
    assert resolve(spec(), {"Healthcheck": {"Test": None, "Interval": SECOND}}) is None
    assert resolve(spec(interval=5), {}) is None


def test_defaults() -> None:
    assert resolve(spec("CMD", "ask", "x"), {}) == HealthCheck(("ask", "x"), 30, 30, 0, 5, 3)


def test_the_image_has_a_check() -> None:
    assert resolve(spec(), {"Healthcheck": IMAGE}) == HealthCheck(("ask",), 7, 6, 5, 4, 2)


def test_the_spec_comes_before_the_image_field_by_field() -> None:
    own = spec("CMD", "own", retries=9, interval=1, timeout=0.5, start_period=2, start_interval=3)
    assert resolve(own, {"Healthcheck": IMAGE}) == HealthCheck(("own",), 1, 0.5, 2, 3, 9)
    assert resolve(spec(timeout=1), {"Healthcheck": IMAGE}) == HealthCheck(("ask",), 7, 1, 5, 4, 2)
    off = IMAGE | {"Test": ["NONE"]}
    assert resolve(spec("CMD", "own"), {"Healthcheck": off}) == HealthCheck(("own",), 7, 6, 5, 4, 2)


def test_a_line_is_the_shells() -> None:
    found = resolve(spec("CMD-SHELL", "a || b"), {})
    assert found is not None
    assert found.command == ("/bin/sh", "-c", "a || b")
    found = resolve(spec("CMD-SHELL", "a"), {"Shell": ["/bin/bash", "-ec"]})
    assert found is not None
    assert found.command == ("/bin/bash", "-ec", "a")


@pytest.mark.parametrize("image", [IMAGE, {"Test": 7}, 7])
def test_no_check_is_wanted(image: Any) -> None:
    assert resolve(spec(disabled=True), {"Healthcheck": image}) is None


def test_none_in_either_place() -> None:
    assert resolve(spec("NONE"), {"Healthcheck": IMAGE}) is None
    assert resolve(spec(), {"Healthcheck": {"Test": ["NONE"]}}) is None


@pytest.mark.parametrize(
    "check",
    [
        7,
        ["CMD", "ask"],
        {"Test": "ask"},
        {"Test": ["CMD", 7]},
        {"Test": ["CMD"]},
        {"Test": ["ask"]},
        IMAGE | {"Interval": "7s"},
        IMAGE | {"Interval": -SECOND},
        IMAGE | {"Timeout": 1.5},
        IMAGE | {"Retries": True},
        IMAGE | {"StartPeriod": 10**20},
    ],
)
def test_an_image_whose_check_cannot_be_understood(check: Any) -> None:
    with pytest.raises(SwarmError, match="health check of the image is malformed") as caught:
        resolve(spec(), {"Healthcheck": check})
    assert caught.value.code is Code.INVALID
    assert "--no-healthcheck" in caught.value.remedy
