"""What hosts print: what is read of it, and that nothing else than an error comes of the rest."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import SwarmError
from machine.swarm import answers
from machine.swarm.reader import read
from machine.swarm.seen import NodeSeen, Standing
from machine.swarm.wanted import Availability, Role
from tests.unit.machine.swarm.test_reader import SETTINGS, WHOLE

READERS = (
    answers.host_of,
    answers.managers_of,
    answers.cluster_of,
    answers.nodes_of,
    answers.live_tasks,
    answers.operators_of,
    answers.homes_of,
)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ID", "Swarm", "State", "Spec", "Role", "Manager", "Name", "Labels"]),
            inner,
            max_size=4,
        )
    ),
)


def test_a_node() -> None:
    text = json.dumps(
        [
            {
                "ID": "n1",
                "Spec": {"Role": "manager", "Availability": "drain", "Labels": {"a": "b"}},
                "Status": {"State": "ready", "Address": "192.0.2.7"},
                "Description": {"Hostname": "h1", "Engine": {"Version": "1.0"}},
                "Manager": {"Leader": True, "Reachable": True, "Address": "[fd00::7]:2377"},
            },
            {"ID": "n2", "Status": {"State": "down"}, "Spec": {}},
        ]
    )
    assert answers.nodes_of(text) == {
        "n1": NodeSeen(
            "n1",
            hostname="h1",
            addresses=frozenset({"192.0.2.7", "fd00::7"}),
            role=Role.MANAGER,
            is_seated=True,
            is_reachable=True,
            leads=True,
            is_ready=True,
            availability=Availability.DRAIN,
            labels={"a": "b"},
            version="1.0",
        ),
        "n2": NodeSeen("n2", is_down=True),
    }


def test_a_host_that_is_in_no_swarm() -> None:
    found = answers.host_of('{"Version": "1.0", "Description": {"Hostname": "h1"}}')
    assert (found.version, found.standing, found.node_id) == ("1.0", Standing.NONE, "")


def test_tasks_that_are_over_are_left_out() -> None:
    rows = [("web.1", "Running 2 minutes ago (healthy)"), (" \\_ web.1", "Failed 1 hour ago")]
    rows += [(" \\_ web.2", "Preparing 1 second ago")]
    lines = "\n".join(json.dumps({"Name": n, "CurrentState": s}) for n, s in rows)
    assert answers.live_tasks(lines) == [("web.1", "running"), ("web.2", "preparing")]


def test_volumes_by_their_home() -> None:
    assert answers.homes_of("h1\tdata\n\tnowhere\nh1\tmore\n") == {"h1": ("data", "more")}


@pytest.mark.parametrize("reader", READERS)
@given(found=ANY)
def test_whatever_a_host_prints_is_an_answer_or_an_error(
    reader: Callable[[str], Any], found: object
) -> None:
    for text in (json.dumps(found), json.dumps(found)[:-1], str(found)):
        with contextlib.suppress(SwarmError):
            reader(text)


@given(place=st.integers(0, len(WHOLE)), length=st.integers(0, 40), instead=st.text(max_size=9))
def test_a_damaged_file_is_read_or_refused(
    place: int, length: int, instead: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = WHOLE[:place] + instead + WHOLE[place + length :]
    folder = tmp_path_factory.getbasetemp()
    with contextlib.suppress(SwarmError):
        read(text, name="cluster.yml", folder=folder, settings=SETTINGS)
