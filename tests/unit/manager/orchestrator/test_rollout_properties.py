"""Whatever happens, and in whatever order: a service comes to what it asks for, and a change of
leader after any write changes nothing. That states only grow, that delays are waited for and that a
slot has one live task (two while it starts first) is checked after every write (tests/sim).
"""

from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from api import states
from manager.orchestrator import agenda, services
from manager.orchestrator.rollback import COMPLETED
from tests.support.orchestrator_script.player import play
from tests.support.orchestrator_script.stage import Stage
from tests.support.raft_script.script import Block

NODES = ("n1", "n2", "n3")
_images = st.sampled_from(["app:1", "app:2", "bad:1", "crash:1", "slow:1", "stuck:1"])
_config = st.fixed_dictionaries(
    {},
    optional={
        "parallelism": st.sampled_from("0123"),
        "delay": st.sampled_from(["0", "3"]),
        "monitor": st.sampled_from(["0", "2", "9"]),
        "ratio": st.sampled_from(["0", "0.4"]),
    },
)
_restart = st.fixed_dictionaries(
    {},
    optional={
        "delay": st.sampled_from(["0", "1", "20"]),
        "attempts": st.sampled_from(["0", "2"]),
        "window": st.sampled_from(["1", "30"]),
        "condition": st.sampled_from(["any", "on-failure", "none"]),
    },
)


def _options(prefix: str, given: dict[str, str]) -> list[str]:
    return [f"{prefix}-{key}={value}" for key, value in given.items()]


@st.composite
def _updates(draw: st.DrawFn) -> str:
    words = ["update web", f"image={draw(_images)}", *_options("restart", draw(_restart))]
    words += _options("update", draw(_config)) + _options("rollback", draw(_config))
    words.append(f"update-action={draw(st.sampled_from(['pause', 'continue', 'rollback']))}")
    words.append(f"rollback-action={draw(st.sampled_from(['pause', 'continue']))}")
    return " ".join(words)


_events = st.one_of(
    _updates(),
    st.integers(0, 4).map(lambda count: f"update web replicas={count}"),
    st.just("update web"),
    st.just("rollback web"),
    st.sampled_from(["run 0.5", "run 4", "run 30", "run 301", "settle"]),
    st.builds(
        lambda name, word: f"node {name} {word}",
        st.sampled_from(NODES),
        st.sampled_from(["down", "ready", "unknown", "active", "pause", "drain"]),
    ),
)


def _script(order: str, events: list[str]) -> tuple[str, ...]:
    orders = f"update-order={order} rollback-order={order}"
    return (
        "nodes " + " ".join(NODES),
        f"service web replicas=2 image=app:1 {orders}",
        *events,
        *(f"node {name} {word}" for name in NODES for word in ("ready", "active")),
        "update web image=app:9 replicas=3 restart-condition=any update-action=pause",
        "run 400",
    )


def _what_happened(transcripts: list[list[str]]) -> list[str]:
    """The lines, whatever their order within one moment, and whichever node was free then."""
    return sorted(line.partition(" on n")[0] for lines in transcripts for line in lines)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(["stop-first", "start-first"]), st.lists(_events, max_size=14))
def test_it_comes_to_what_is_asked_for_whoever_leads(order: str, events: list[str]) -> None:
    block = Block(_script(order, events), ())
    stage = Stage()
    followed, forgotten = play([block], stage), play([block], Stage(forgetful=True))
    assert _what_happened(followed) == _what_happened(forgotten)
    _check_that_it_came_to_it(stage)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sampled_from(["stop-first", "start-first"]), st.lists(_events, max_size=14))
def test_it_comes_to_it_in_the_smallest_steps_too(order: str, events: list[str]) -> None:
    """As for a service with very many tasks: looks are split, and rest in between."""
    rests = patch.multiple(agenda, MANY=0, REST=0.3)
    with rests, patch.multiple(services, MAX_CHANGES=1, MAX_LOOKS=2, MAX_SLOTS=1):
        stage = Stage()
        play([Block(_script(order, events), ())], stage)
        _check_that_it_came_to_it(stage)


def _check_that_it_came_to_it(stage: Stage) -> None:
    service = stage.service("web")
    tasks = [t for t in stage.store.tasks_of_service("web") if states.is_live(t)]
    assert len({task.slot for task in tasks}) == len(tasks) == 3
    assert all(task.status.state == states.RUNNING for task in tasks)
    assert all(task.spec == service.spec.task for task in tasks)
    assert service.update_status.state in (0, COMPLETED)
