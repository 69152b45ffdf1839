"""Which labels suit a filter."""

import pytest

from api.labels import have_all


@pytest.mark.parametrize(
    ("wanted", "suits"),
    [
        ([], True),
        (["a"], True),
        (["a=1", "b"], True),
        (["a=1", "a=2"], False),
        (["a=", "a"], False),
        (["empty="], True),
        (["formula=x=y"], True),
        (["c"], False),
    ],
)
def test_every_label_has_to_hold(wanted: list[str], suits: bool) -> None:
    labels = {"a": "1", "b": "2", "empty": "", "formula": "x=y"}
    assert have_all(labels, wanted) is suits
