"""Which events a reader is told of."""

from collections.abc import Mapping

import pytest

from api.errors import Code, SwarmError
from api.v1 import events_pb2
from manager.events.kinds import Happening
from manager.events.selection import MAX_VALUES, Selection


def happening(
    kind: str, action: str, event_id: str, labels: Mapping[str, str] | None = None, **told: str
) -> Happening:
    attributes = {name.replace("_", "."): text for name, text in told.items()}
    return Happening(kind, action, event_id, attributes, labels or {})


WEB = happening("service", "update", "s1web", {"tier": "front", "env": ""}, name="web")
API = happening("service", "create", "s2api", {"tier": "back"}, name="api")
TASK = happening(
    "task", "state", "t1", name="web.1", service="web", service_id="s1web", node_id="n1", node="h1"
)
NEW = happening("task", "create", "t2", name="web.2", service="web", service_id="s1web")
NODE = happening("node", "update", "n1", name="h1")
SECRET = happening("secret", "create", "x1", name="web")
OPERATOR = happening("operator", "create", "o1", name="alice")
EVERY = (WEB, API, TASK, NEW, NODE, SECRET, OPERATOR)


def filters(*texts: str) -> list[events_pb2.EventFilter]:
    pairs = [text.partition("=") for text in texts]
    return [events_pb2.EventFilter(key=key, values=[value]) for key, _, value in pairs]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), EVERY),
        (("type=service",), (WEB, API)),
        (("type=service", "type=node"), (WEB, API, NODE)),
        (("event=create",), (API, NEW, SECRET, OPERATOR)),
        (("event=create", "type=service"), (API,)),
        (("service=web",), (WEB, TASK, NEW)),
        (("service=s1",), (WEB, TASK, NEW)),
        (("service=we",), ()),
        (("service=web", "type=service"), (WEB,)),
        (("service=web", "node=h1"), (TASK,)),
        (("node=h1",), (TASK, NODE)),
        (("node=n1",), (TASK, NODE)),
        (("task=web.1",), (TASK,)),
        (("task=t",), (TASK, NEW)),
        (("secret=web",), (SECRET,)),
        (("operator=alice",), (OPERATOR,)),
        (("name=web",), (WEB, SECRET)),
        (("label=tier",), (WEB, API)),
        (("label=tier=front",), (WEB,)),
        (("label=tier=front", "label=tier=back"), (WEB, API)),
        (("label=env=",), (WEB,)),
        (("label=other",), ()),
    ],
)
def test_values_are_alternatives_and_keys_all_match(
    given: tuple[str, ...], expected: tuple[Happening, ...]
) -> None:
    selection = Selection(filters(*given), trusted=True)
    assert tuple(each for each in EVERY if selection(each)) == expected
    assert not given or not selection(Happening("swarm", "update", "c1", {}, {}))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("colour=red", "no key 'colour': they are type, event, name, label, swarm, node"),
        ("type=container", "there is no type 'container'"),
        ("event=die", "there is no event 'die': they are create, fence, health_status, hold"),
        ("node=", "node needs a value"),
    ],
)
def test_what_there_is_not_is_refused(given: str, said: str) -> None:
    with pytest.raises(SwarmError, match=said) as refused:
        Selection(filters(given), trusted=True)
    assert refused.value.code is Code.INVALID


def test_too_many_values_are_refused() -> None:
    with pytest.raises(SwarmError, match="more than 100 values"):
        Selection(filters(*["name=a"] * (MAX_VALUES + 1)), trusted=True)


def test_a_worker_is_not_told_of_what_it_may_not_list() -> None:
    selection = Selection([], trusted=False)
    assert [each for each in EVERY if selection(each)] == [WEB, API, TASK, NEW, NODE]


@pytest.mark.parametrize("given", ["type=secret", "secret=web", "operator=alice"])
def test_a_worker_that_asks_for_it_is_refused(given: str) -> None:
    with pytest.raises(SwarmError, match="a worker is not told of") as refused:
        Selection(filters(given), trusted=False)
    assert refused.value.code is Code.DENIED
