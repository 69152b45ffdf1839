"""What probes make of a container's health, and when they are due, on virtual time."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import health
from runtime.health import SPREAD, Health, HealthMachine, ProbeResult
from runtime.health_check import LONGEST, HealthCheck

PLAIN = HealthCheck(("true",), interval=10, retries=3)
LENIENT = HealthCheck(("true",), interval=10, retries=2, start_period=30, start_interval=4)
ONCE = HealthCheck(("true",), interval=10, retries=1)

# Each probe takes a second: + succeeds, - fails. Then: the health, and when the next one is due.
SCRIPTS = [
    (PLAIN, "starting", "+", "healthy 21"),
    (PLAIN, "starting", "-", "starting 21"),
    (PLAIN, "starting", "--", "starting 32"),
    (PLAIN, "starting", "---", "unhealthy 43"),
    (PLAIN, "starting", "--+", "healthy 43"),
    (PLAIN, "starting", "--+--", "healthy 65"),
    (PLAIN, "starting", "--+---", "unhealthy 76"),
    (PLAIN, "healthy", "-+--", "healthy 44"),
    (PLAIN, "healthy", "---", "unhealthy 33"),
    (PLAIN, "healthy", "---+", "healthy 44"),
    (ONCE, "starting", "-", "unhealthy 21"),
    (ONCE, "healthy", "-", "unhealthy 11"),
    # In the start period, up to 30, failures do not count: they begin at 4, 9, 14, 19, 24, 29.
    (LENIENT, "starting", "------", "starting 40"),
    (LENIENT, "starting", "-------", "starting 51"),
    (LENIENT, "starting", "--------", "unhealthy 62"),
    # After the first success the period is over.
    (LENIENT, "starting", "-+", "healthy 20"),
    (LENIENT, "starting", "-+-", "healthy 31"),
    (LENIENT, "starting", "-+--", "unhealthy 42"),
    (LENIENT, "healthy", "--", "unhealthy 22"),
]


@pytest.mark.parametrize(("check", "known", "probes", "expected"), SCRIPTS)
def test_script(check: HealthCheck, known: Health, probes: str, expected: str) -> None:
    machine = HealthMachine(check, known=known, started=0, now=0, phase=0)
    for probe in probes:
        machine.probed(success=probe == "+", began=machine.due, ended=machine.due + 1)
    assert f"{machine.health} {machine.due:g}" == expected


@pytest.mark.parametrize(
    ("known", "now", "phase", "due"),
    [
        ("starting", 100, 0.0, 110),
        ("starting", 100, 0.5, 110.5),
        ("starting", 107, 0.5, 110.5),  # another daemon started it: nothing is lost
        ("starting", 150, 0.5, 155),  # overdue
        ("healthy", 100, 0.0, 100),  # adopted: spread over the whole interval
        ("healthy", 150, 0.9, 159),
    ],
)
def test_first_probe(known: Health, now: float, phase: float, due: float) -> None:
    machine = HealthMachine(PLAIN, known=known, started=100, now=now, phase=phase)
    assert machine.due == due


def test_first_probe_in_the_start_period() -> None:
    assert HealthMachine(LENIENT, known="starting", started=0, now=0, phase=0.5).due == 4.2
    assert HealthMachine(LENIENT, known="starting", started=0, now=29, phase=0.5).due == 31
    assert HealthMachine(LENIENT, known="healthy", started=0, now=0, phase=0.5).due == 5


def test_containers_have_phases_of_their_own() -> None:
    phases = [health.phase(f"container{number}") for number in range(100)]
    assert all(0 <= phase < 1 for phase in phases)
    tenths = [int(phase * 10) for phase in phases]
    assert all(4 <= tenths.count(tenth) <= 18 for tenth in range(10))
    assert health.phase("container7") == phases[7]


@dataclass(frozen=True)
class Probe:
    pause: float  # after it was due
    took: float
    success: bool


checks = st.builds(
    HealthCheck,
    command=st.just(("true",)),
    interval=st.floats(0.001, 100),
    start_period=st.floats(0, 100),
    start_interval=st.floats(0.001, 100),
    retries=st.integers(1, 5),
)
probes = st.lists(st.builds(Probe, st.floats(0, 5), st.floats(0, 50), st.booleans()), max_size=30)
knowns = st.sampled_from(("starting", "healthy"))


@given(checks, knowns, probes, st.floats(0, 0.99))
def test_health_is_what_the_counted_probes_say(
    check: HealthCheck, known: Health, made: list[Probe], phase: float
) -> None:
    machine = HealthMachine(check, known=known, started=0, now=0, phase=phase)
    proven = known == "healthy"
    counted: list[bool] = []
    for probe in made:
        before, began = machine.health, machine.due + probe.pause
        ended = began + probe.took
        machine.probed(success=probe.success, began=began, ended=ended)
        proven = proven or probe.success
        if proven or began >= check.start_period or before == "unhealthy":
            counted.append(probe.success)
        failed = counted[-check.retries :]
        if probe.success:
            assert machine.health == "healthy"
        elif len(failed) == check.retries and not any(failed):
            assert machine.health == "unhealthy"
        else:
            assert machine.health == before
        waits = {check.interval} | ({check.start_interval} if not proven else set())
        assert any(machine.due == ended + wait for wait in waits)


@given(checks, knowns, st.floats(0, 1000), st.floats(0, 0.99))
def test_the_first_probe_is_soon_and_never_before_its_time(
    check: HealthCheck, known: Health, age: float, phase: float
) -> None:
    machine = HealthMachine(check, known=known, started=-age, now=0, phase=phase)
    longest = max(check.interval, check.start_interval)
    assert 0 <= machine.due <= longest * (1 + SPREAD)
    if known == "starting":
        assert machine.due + age >= min(check.interval, check.start_interval)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("", "exit status 3"),
        (" \n\n", "exit status 3"),
        ("wget: can't connect\n", "wget: can't connect"),
        ("first\nlast \n\n", "last"),
    ],
)
def test_last_words(output: str, words: str) -> None:
    assert ProbeResult(0.0, 3, output).last_words == words


def test_reason() -> None:
    last = ProbeResult(0.0, 1, "no answer")
    assert health.reason(1, last) == "1 probe failed: no answer"
    assert health.reason(3, last) == "3 probes failed in a row: no answer"


periods = st.floats(0.1, 100)


@given(
    st.builds(
        HealthCheck,
        st.just(("true",)),
        interval=periods,
        timeout=periods,
        start_period=st.just(0.0) | st.floats(0, 300),
        start_interval=periods,
        retries=st.integers(1, 5),
    ),
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
    st.floats(0, 1),
)
def test_a_container_that_keeps_failing_is_unhealthy_in_time(
    check: HealthCheck, shares: list[float], phase: float
) -> None:
    """However long its probes take, up to their limit."""
    machine = HealthMachine(check, known="starting", started=0, now=0, phase=phase)
    ended, probes = 0.0, 0
    while machine.health == "starting":
        began = machine.due
        ended = began + check.timeout * shares[probes % len(shares)]
        machine.probed(success=False, began=began, ended=ended)
        probes += 1
    assert ended <= health.unproven_at_most(check) * (1 + 1e-9)


def test_the_longest_check_there_can_be_fits_into_a_duration() -> None:
    check = HealthCheck(("true",), interval=LONGEST, timeout=LONGEST, retries=2**32 - 1)
    assert health.unproven_at_most(check) == LONGEST
