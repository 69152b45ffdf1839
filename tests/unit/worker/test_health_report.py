"""What managers are told of a change of health."""

import pytest

from api import states
from runtime.health import Health, ProbeResult, Verdict
from worker.executor import HealthState
from worker.health_report import LOG_LIMIT, known_as, report

WORDS: list[tuple[HealthState, Health]] = [
    (states.UNPROVEN, "starting"),
    (states.HEALTHY, "healthy"),
    (states.UNHEALTHY, "unhealthy"),
]


@pytest.mark.parametrize(("state", "word"), WORDS)
def test_words(state: HealthState, word: Health) -> None:
    assert known_as(state) == word
    told = report(Verdict(word, "because", ()))
    assert (told.state, told.reason, told.log) == (state, "because", ())


def test_the_log() -> None:
    probes = (ProbeResult(10.5, 0, "fine"), ProbeResult(40.0, -1, ""))
    told = report(Verdict("healthy", "", probes)).log
    assert [(p.at.ToNanoseconds() / 1e9, p.exit_code, p.output) for p in told] == [
        (10.5, 0, "fine"),
        (40.0, -1, ""),
    ]


def test_the_newest_output_comes_first_where_there_is_too_much() -> None:
    long = "x" * (LOG_LIMIT - 10)
    probes = tuple(
        ProbeResult(float(n), 1, text) for n, text in enumerate(("a", "0123456789b", long))
    )
    told = report(Verdict("unhealthy", "", probes)).log
    assert [p.output for p in told] == ["", "123456789b", long]
