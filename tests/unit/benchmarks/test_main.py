"""Every figure is measured by exactly one suite; unknown names are refused before anything runs."""

from collections import Counter

import pytest

from benchmarks import agents
from benchmarks.__main__ import ALONE, SUITES, main
from benchmarks.figures import FIGURES


def test_each_figure_has_one_measurement() -> None:
    suites = (name for suite in SUITES for name in suite.figures)
    measured = Counter([agents.FIGURE, *ALONE, *suites])
    assert measured == Counter(list(FIGURES))


def test_an_unknown_figure_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create_1", "create_7"]) == 2
    assert "no such figure: create_7; known: create_1," in capsys.readouterr().err
