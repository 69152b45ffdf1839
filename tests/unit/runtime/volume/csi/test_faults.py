import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import Code
from runtime.volume.csi import faults, pending

Status = grpc.StatusCode
FAILURES = [status for status in Status if status is not Status.OK]


@pytest.mark.parametrize("status", FAILURES)
def test_every_status_has_a_meaning_and_a_remedy(status: grpc.StatusCode) -> None:
    error = faults.of_status("d", "NodeStageVolume", "mount volume v", status, "")
    assert error.what == "CSI driver d could not mount volume v"
    assert error.why == f"NodeStageVolume: {status.name.lower().replace('_', ' ')}"
    assert error.remedy


@pytest.mark.parametrize(
    ("call", "status", "code", "remedy"),
    [
        ("CreateVolume", Status.ALREADY_EXISTS, Code.INVALID, "another name"),
        ("CreateVolume", Status.OUT_OF_RANGE, Code.INVALID, "the size"),
        ("CreateVolume", Status.RESOURCE_EXHAUSTED, Code.EXHAUSTED, "topology"),
        ("DeleteVolume", Status.FAILED_PRECONDITION, Code.REFUSED, "in use"),
        ("ControllerPublishVolume", Status.FAILED_PRECONDITION, Code.REFUSED, "another node"),
        ("ControllerPublishVolume", Status.RESOURCE_EXHAUSTED, Code.EXHAUSTED, "another one"),
        ("ControllerPublishVolume", Status.ALREADY_EXISTS, Code.REFUSED, "in another way"),
        ("NodePublishVolume", Status.FAILED_PRECONDITION, Code.REFUSED, "its access"),
        ("Probe", Status.FAILED_PRECONDITION, Code.UNAVAILABLE, "configuration"),
        ("NodeUnstageVolume", Status.ABORTED, Code.UNAVAILABLE, "try again later"),
    ],
)
def test_a_status_means_what_the_specification_says_of_the_call(
    call: str, status: grpc.StatusCode, code: Code, remedy: str
) -> None:
    error = faults.of_status("d", call, "x", status, "")
    assert error.code is code
    assert remedy in error.remedy


@settings(deadline=None)
@given(st.text())
def test_what_a_driver_says_is_one_short_line(said: str) -> None:
    error = faults.of_status("d", "Probe", "x", Status.UNKNOWN, said)
    assert error.why.isprintable()
    assert len(error.why) < 600


@settings(deadline=None)
@given(st.integers(1, 1000), st.floats(-1e6, 1e6))
def test_a_busy_driver_is_asked_again_within_the_time_of_the_call(
    attempt: int, left: float
) -> None:
    seconds = pending.delay(attempt, left)
    assert seconds is None or 0.5 <= seconds <= min(8, left)


def test_the_waits_for_a_busy_driver_double() -> None:
    assert [pending.delay(attempt, 100) for attempt in range(1, 7)] == [0.5, 1, 2, 4, 8, 8]
