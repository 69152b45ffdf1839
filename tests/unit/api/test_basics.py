"""Ids, times, states and errors: the small things that everything stands on."""

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import ids, new_ids, states, status, times
from api.errors import Code, SwarmError
from api.v1 import objects_pb2


def test_ids_have_swarms_form() -> None:
    made = {new_ids.new_id() for _ in range(100)}
    assert len(made) == 100
    assert all(ids.is_id(each) for each in made)
    assert not ids.is_id("x")
    assert ids.base36(36**3, 5) == "01000"


@given(st.integers(0, 4_000_000_000_000))
def test_times_survive_a_round_trip_to_the_millisecond(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert abs(times.seconds_of(times.timestamp(seconds)) - seconds) < 0.001
    assert abs(times.seconds_of(times.duration(-seconds)) + seconds) < 0.001


def test_a_negative_duration_has_one_sign() -> None:
    made = times.duration(-1.5)
    assert (made.seconds, made.nanos) == (-1, -500_000_000)


@pytest.mark.parametrize(
    ("observed", "desired", "live"),
    [
        (states.NEW, states.RUNNING, True),
        (states.RUNNING, states.RUNNING, True),
        (states.RUNNING, states.READY, True),
        (states.RUNNING, states.SHUTDOWN, False),
        (states.FAILED, states.RUNNING, False),
        (states.COMPLETE, states.RUNNING, False),
    ],
)
def test_a_task_is_live_while_wanted_and_not_ended(observed, desired, live) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    task = objects_pb2.Task(desired_state=desired)
    task.status.state = observed
    assert states.is_live(task) is live


def test_names_that_people_see() -> None:
    assert states.state_name(states.PREPARING) == "Preparing"
    assert states.task_name(objects_pb2.Task(service_name="web", slot=3)) == "web.3"


def test_an_error_reads_as_a_sentence() -> None:
    error = SwarmError(Code.INVALID, "bad image name", why="it is empty", remedy="give one")
    assert str(error) == "bad image name: it is empty. Give one"
    error.field = "task.container.image"
    assert str(error) == "task.container.image: bad image name: it is empty. Give one"


@pytest.mark.parametrize("code", list(Code))
def test_an_error_survives_the_wire(code: Code) -> None:
    sent = SwarmError(code, "what", why="why", remedy="remedy", field="field")
    number, message, trailers = status.to_grpc(sent)
    arrived = grpc.aio.AioRpcError(
        number, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), details=message
    )
    got = status.from_grpc(arrived, "asking")
    assert (got.code, got.what, got.why, got.remedy, got.field) == (
        code,
        "what",
        "why",
        "remedy",
        "field",
    )


def test_an_answer_that_is_not_ours_still_tells_something() -> None:
    foreign = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE,
        grpc.aio.Metadata(),
        grpc.aio.Metadata((status.DETAIL_KEY, b"\xff\xff")),
        details="connection refused",
    )
    got = status.from_grpc(foreign, "asking m1")
    assert (got.code, str(got)) == (Code.UNAVAILABLE, "asking m1 failed: connection refused")
