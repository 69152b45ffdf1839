"""What is written as TOML is read back as it was."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import SwarmError
from machine.toml_text import toml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN = (
    TEXTS
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = PLAIN | st.lists(PLAIN, max_size=4) | st.dictionaries(TEXTS, PLAIN, max_size=4)


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_it_is_read_back(settings: dict[str, Any]) -> None:
    assert tomllib.loads(toml(settings)) == settings


def test_it_is_what_a_person_would_write() -> None:
    text = toml({"labels": {"rack": "a"}, "insecure_registries": ["r:5000"], "log_level": "info"})
    assert text == (
        'insecure_registries = ["r:5000"]\nlabels = { rack = "a" }\nlog_level = "info"\n'
    )


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), object()])
def test_what_cannot_be_a_setting_is_refused(value: object) -> None:
    with pytest.raises(SwarmError, match="cannot be a setting"):
        toml({"x": value})
