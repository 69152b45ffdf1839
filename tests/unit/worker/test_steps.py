"""What steps that failed mean for a task."""

import pytest

from api.errors import Code, SwarmError
from overlay_net.fabric.operations import MakeLeg, MakeTunnel, Operation, SetRoute
from overlay_net.fabric.picture import Leg, LegKey, On, Tunnel
from worker.steps import hindrance


def tunnel(name: str) -> MakeTunnel:
    return MakeTunnel(Tunnel(name, 4097, "192.0.2.1", 4789, 1450))


def leg(path: str, parent: str) -> MakeLeg:
    return MakeLeg(LegKey(path, b"mac"), Leg(On.TUNNEL, parent, 1450, frozenset()))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([tunnel("vx1")], None),
        ([tunnel("vx1"), leg("other", "vx1")], None),
        ([tunnel("vx1"), leg("own", "vx2")], 1),
        ([tunnel("vx1"), tunnel("vx2"), leg("other", "vx1"), leg("own", "vx2")], 1),
        ([leg("other", "vx1"), SetRoute("own", "172.18.0.1")], 1),
        ([], None),
    ],
    ids=["a tunnel of nobody", "another's", "its own", "what its own stands on", "route", "none"],
)
def test_why_a_task_is_without_what_it_needs(steps: list[Operation], expected: int | None) -> None:
    failed = [(step, SwarmError(Code.INTERNAL, str(n))) for n, step in enumerate(steps)]
    found = hindrance(failed, "own")
    assert (None if found is None else int(found.what)) == expected
