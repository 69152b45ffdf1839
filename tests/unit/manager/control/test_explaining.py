"""Explanations are found in pieces, and not too many at once."""

import asyncio

import pytest

from api import states
from api.errors import Code, SwarmError
from api.v1.explain_pb2 import ExplainServiceRequest, ExplainTaskRequest
from manager.control.explaining import PIECE, Explanations
from manager.state.changes import StoredObject, create
from manager.state.swarm_clock import SwarmClock
from tests.support.builders import EPOCH, node, service, task
from tests.support.sealed_store import SealedStore


@pytest.fixture
def explanations() -> Explanations:
    store = SealedStore()
    hosts = [node(f"n{n:04}") for n in range(PIECE * 5)]
    waiting = task("t", state=states.PENDING)
    objects: list[StoredObject] = [*hosts, service("web"), waiting]
    store.must(*map(create, objects), now=EPOCH)
    return Explanations(store, SwarmClock(lambda: EPOCH, lambda: 0.0, lambda: 0.0))


def test_others_get_their_turn_meanwhile(explanations: Explanations) -> None:
    async def run() -> int:
        turns = 0
        asked = asyncio.ensure_future(explanations.task(ExplainTaskRequest(key="web.1")))
        while not asked.done():
            turns += 1
            await asyncio.sleep(0)
        assert asked.result().answer.endswith("it is about to be placed")
        return turns

    assert asyncio.run(run()) > 5


def test_many_callers_are_all_answered(explanations: Explanations) -> None:
    async def run() -> list[str]:
        calls = [explanations.service(ExplainServiceRequest(key="web")) for _ in range(9)]
        return [found.name for found in await asyncio.gather(*calls)]

    assert asyncio.run(run()) == ["web"] * 9


def test_what_is_not_there_is_not_found(explanations: Explanations) -> None:
    for call in (
        explanations.task(ExplainTaskRequest(key="no")),
        explanations.service(ExplainServiceRequest(key="no")),
    ):
        with pytest.raises(SwarmError) as refused:
            asyncio.run(call)
        assert refused.value.code is Code.NOT_FOUND
