"""Which tasks take the credentials of their service along to their node."""

import asyncio

import pytest

from api import states
from api.v1 import objects_pb2, types_pb2
from manager.dispatcher.logins import with_login
from manager.state.changes import batch, create
from manager.state.store import Store
from tests.support.builders import task
from tests.support.direct_proposer import DirectProposer


def stored(service: objects_pb2.Service) -> Store:
    store = Store()
    asyncio.run(DirectProposer(store, lambda: 1.0).propose([batch(create(service))]))
    return store


@pytest.mark.parametrize(
    ("state", "desired", "told"),
    [
        (states.ASSIGNED, states.READY, True),
        (states.ASSIGNED, states.RUNNING, True),
        (states.PREPARING, states.RUNNING, True),
        (states.RUNNING, states.RUNNING, False),
        (states.PREPARING, states.SHUTDOWN, False),
        (states.REJECTED, states.SHUTDOWN, False),
    ],
)
def test_only_a_task_that_may_yet_be_pulled_for(
    state: types_pb2.TaskState.ValueType, desired: types_pb2.TaskState.ValueType, told: bool
) -> None:
    store = stored(objects_pb2.Service(id="s1", registry_logins={"docker.io": "login"}))
    given = task("t1", service_id="s1", state=state, desired=desired)
    found = with_login(store, given)
    assert found.spec.container.registry_auth == ("login" if told else "")
    assert given.spec.container.registry_auth == "", "what is stored is read-only"


@pytest.mark.parametrize(
    "service",
    [
        objects_pb2.Service(id="s1"),
        objects_pb2.Service(id="s1", registry_logins={"registry.example.com": "x"}),
        objects_pb2.Service(id="s2", registry_logins={"docker.io": "x"}),
    ],
)
def test_a_task_for_whose_registry_there_is_no_login(service: objects_pb2.Service) -> None:
    given = task("t1", service_id="s1", state=states.ASSIGNED)
    assert with_login(stored(service), given) is given
