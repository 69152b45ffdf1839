import pytest

from api.errors import SwarmError
from api.generic import declared, environment
from api.v1.types_pb2 import GenericResource


def test_counts_and_names() -> None:
    assert declared(["gpu=u1", "apple=4", "gpu=u2, nic=eth1"]) == [
        GenericResource(kind="gpu", ids=["u1", "u2"]),
        GenericResource(kind="apple", count=4),
        GenericResource(kind="nic", ids=["eth1"]),
    ]
    assert declared([]) == []


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["gpu"], "not of the form"),
        (["=4"], "not of the form"),
        (["gpu="], "not of the form"),
        (["g pu=1"], "not of the form"),
        ([""], "not of the form"),
        (["gpu=u1", "gpu=2"], "has a count, or names"),
        (["gpu=1", "gpu=2"], "has a count, or names"),
        (["gpu=u1,gpu=u1"], "given twice"),
        (["apple=99999999999"], "the count is above"),
    ],
)
def test_what_makes_no_sense_is_refused(texts: list[str], why: str) -> None:
    with pytest.raises(SwarmError, match=why):
        declared(texts)


def test_a_container_learns_what_its_task_was_given() -> None:
    given = [GenericResource(kind="gpu", ids=["u1", "u2"]), GenericResource(kind="apple", count=4)]
    assert environment(given) == ["DOCKER_RESOURCE_GPU=u1,u2", "DOCKER_RESOURCE_APPLE=4"]
