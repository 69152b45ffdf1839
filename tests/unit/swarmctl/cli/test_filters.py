"""What `--filter` takes, and what becomes of it in a request."""

import click
import pytest

from api.v1 import control_pb2, types_pb2
from swarmctl.cli.filters import label, narrow, read_filters, rows_that_match, text, words

TABLE = {
    "id": text("ids"),
    "label": label("engine_labels"),
    "role": words("roles", {"any": (0, 1), "manager": (types_pb2.NODE_ROLE_MANAGER,)}),
}


def test_every_value_of_a_key_is_kept() -> None:
    request = control_pb2.ListNodesRequest()
    given = ("id=a", "label=x", "label=x=1", "id=b", "label=x=2=3", "role=manager", "id=")
    narrow(request, read_filters(given, TABLE))
    assert request == control_pb2.ListNodesRequest(
        ids=["a", "b", ""], engine_labels=["x", "x=1", "x=2=3"], roles=[types_pb2.NODE_ROLE_MANAGER]
    )


def test_a_word_may_stand_for_several_values() -> None:
    assert read_filters(("role=any",), TABLE) == {"roles": [0, 1]}


@pytest.mark.parametrize(
    ("given", "hint", "told"),
    [
        ("colour=red", "--filter", "one of the keys id, label, role"),
        ("id", "--filter", "one of the keys id, label, role"),
        ("role=boss", "--filter role", "'boss': use one of any, manager"),
        ("label=", "--filter label", "use the key of a label"),
        ("label==x", "--filter label", "use the key of a label"),
    ],
)
def test_what_is_wrong_is_refused(given: str, hint: str, told: str) -> None:
    with pytest.raises(click.BadParameter, match=told) as caught:
        read_filters((given,), TABLE)
    assert caught.value.param_hint == hint


def test_rows_that_are_made_here_are_filtered_alike() -> None:
    rows = [{"Name": name, "State": state} for name, state in (("m1", "up"), ("w1", "down"))]
    table = {"name": text("Name"), "state": text("State")}

    def names(*given: str) -> list[str]:
        return [row["Name"] for row in rows_that_match(rows, read_filters(given, table))]

    assert names() == names("name=m", "name=w") == ["m1", "w1"]
    assert names("name=m", "name=w", "state=down") == ["w1"]
