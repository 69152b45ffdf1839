"""How long a task that is to be stopped goes on serving."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from api.v1 import dispatcher_pb2, network_pb2
from worker.drains import LIMIT, Drains
from worker.network_book import ENDPOINT, Key, News

Message = dispatcher_pb2.AssignmentsMessage


def endpoint(*, serving: bool, node: str = "n1") -> network_pb2.NetworkEndpoint:
    return network_pb2.NetworkEndpoint(
        network_id="front",
        task_id="t1",
        name="web.1.t1",
        service_id="web",
        node_id=node,
        serving=serving,
    )


def drained(*task_ids: str) -> Message:
    message = Message()
    for task_id in task_ids:
        message.changes.add(drained=dispatcher_pb2.DrainedTask(task_id=task_id))
    return message


def told(made: Drains, *, serving: bool, node: str = "n1") -> None:
    made.follow("n1", News((endpoint(serving=serving, node=node),)), Message())


def run(scenario: Callable[[Drains], Awaitable[None]]) -> None:
    async def whole() -> None:
        await scenario(Drains(lambda: 0.0))

    asyncio.run(whole())


async def is_held(made: Drains) -> bool:
    waits = asyncio.ensure_future(made.wait("t1"))
    for _ in range(3):
        await asyncio.sleep(0)
    done = waits.done()
    waits.cancel()
    return not done


def test_a_task_that_served_waits_until_managers_say_that_it_is_drained() -> None:
    async def scenario(made: Drains) -> None:
        told(made, serving=True)
        assert not await is_held(made), "nobody took it back"
        told(made, serving=False)
        assert await is_held(made)
        made.follow("n1", News(), drained("t2"))
        assert await is_held(made)
        waits = asyncio.ensure_future(made.wait("t1"))
        await asyncio.sleep(0)
        made.follow("n1", News(), drained("t1"))
        await waits

    run(scenario)


@pytest.mark.parametrize("node", ["n1", "n2"])
def test_a_task_that_never_served_here_waits_for_nobody(node: str) -> None:
    async def scenario(made: Drains) -> None:
        told(made, serving=node == "n2", node=node)
        told(made, serving=False, node=node)
        assert not await is_held(made)

    run(scenario)


def test_a_task_without_endpoints_waits_for_nobody() -> None:
    async def scenario(made: Drains) -> None:
        for served in (True, False):
            told(made, serving=served)
        made.follow("n1", News(removed=(Key(ENDPOINT, "front", "t1"),)), Message())
        assert not await is_held(made)
        for served in (True, False):
            told(made, serving=served)
        made.clear()
        assert not await is_held(made)

    run(scenario)


def test_a_task_that_serves_again_is_drained_anew() -> None:
    async def scenario(made: Drains) -> None:
        for served in (True, False):
            told(made, serving=served)
        made.follow("n1", News(), drained("t1"))
        for served in (True, False):
            told(made, serving=served)
        assert await is_held(made)

    run(scenario)


def test_what_an_earlier_daemon_knew_to_serve_no_more_waits_too() -> None:
    async def scenario(made: Drains) -> None:
        made.restore("n1", [endpoint(serving=False)])
        assert await is_held(made)
        made.restore("n1", [endpoint(serving=True)])
        assert not await is_held(made)
        told(made, serving=False)
        assert await is_held(made)

    run(scenario)


def test_nobody_is_waited_for_longer_than_the_limit() -> None:
    async def scenario() -> None:
        now = [0.0]
        made = Drains(lambda: now[0])
        for served in (True, False):
            told(made, serving=served)
        now[0] = LIMIT
        await made.wait("t1")

    asyncio.run(scenario())
