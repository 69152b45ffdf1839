"""Places for containers that are no tasks: who gets one, and who is told why not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api import states
from api.errors import Code, SwarmError
from api.v1 import dispatcher_pb2, objects_pb2
from manager.allocator.decide import AllocatorLoop
from manager.dispatcher import attachments
from manager.dispatcher.attachments import Attachments
from manager.orchestrator.reaper import ReaperLoop
from manager.orchestrator.services import ServicesLoop
from manager.state.changes import batch, copy, create, update
from manager.state.store import Store
from manager.state.watch import WatchHub
from tests.support.builders import EPOCH, cluster, network, node
from tests.support.direct_proposer import DirectProposer

Network, Task = objects_pb2.Network, objects_pb2.Task
ONE, TWO = "1" * 25, "2" * 25


def request(attachment_id: str = ONE, target: str = "front", *asked: str) -> Any:
    made = dispatcher_pb2.AttachRequest(attachment_id=attachment_id)
    made.network.target = target
    made.network.aliases.append("guest")
    made.network.addresses.extend(asked)
    made.container.container_id, made.container.name = "c1", "box"
    return made


class Manager:
    """A store, and the loops that look at tasks, each of them when a test says so."""

    def __init__(self) -> None:
        self.store, self.hub = Store(), WatchHub()
        self.proposer = DirectProposer(self.store, lambda: EPOCH, self.hub)
        self.attachments = Attachments(self.store, self.hub, self.proposer, lambda: EPOCH)

    async def begin(self) -> None:
        front, back = network("front", "10.0.1.0/29"), network("back")
        front.spec.attachable = True
        for each in (cluster(), front, back, node("n1")):
            await self.proposer.propose([batch(create(each))])
        await self.decide()

    async def decide(self) -> None:
        """All loops, until none of them wants anything."""
        for loop in (AllocatorLoop(), ServicesLoop(lambda: "x" * 25), ReaperLoop()):
            loop.reset(self.store)
            while batches := loop.decide(self.store, EPOCH).batches:
                await self.proposer.propose(batches)
                loop.reset(self.store)

    async def attach(self, asked: Any, node_id: str = "n1") -> dispatcher_pb2.AttachResponse:
        """As a node does, while the loops go on."""
        waiting = asyncio.ensure_future(self.attachments.attach(node_id, asked))
        while not waiting.done():
            await asyncio.sleep(0)
            await self.decide()
        return waiting.result()

    async def report(self, task_id: str, state: Any) -> None:
        found = self.store.get(Task, task_id)
        assert found is not None
        changed = copy(found)
        changed.status.state = state
        await self.proposer.propose([batch(update(changed))])
        await self.decide()


def run(scenario: Callable[[Manager], Awaitable[None]]) -> None:
    async def whole() -> None:
        manager = Manager()
        await manager.begin()
        await scenario(manager)

    asyncio.run(whole())


def test_a_place_is_a_task_of_its_node_until_the_node_ends_it() -> None:
    async def scenario(manager: Manager) -> None:
        answer = await manager.attach(request())
        assert (answer.network_id, answer.name) == ("front", "front")
        task = manager.store.get(Task, ONE)
        assert task is not None
        assert (task.node_id, task.status.state) == ("n1", states.ASSIGNED)
        assert list(task.networks[0].addresses) == ["10.0.1.2/29"]
        assert await manager.attach(request()) == answer
        await manager.report(ONE, states.RUNNING)
        assert manager.store.get(Task, ONE) is not None
        await manager.report(ONE, states.COMPLETE)
        assert manager.store.get(Task, ONE) is None
        front = manager.store.get(Network, "front")
        assert front is not None
        assert [each.address for each in front.resting] == ["10.0.1.2"]

    run(scenario)


def test_an_address_that_is_asked_for_is_given_or_it_is_said_why_not() -> None:
    async def scenario(manager: Manager) -> None:
        await manager.attach(request(ONE, "front", "10.0.1.5"))
        task = manager.store.get(Task, ONE)
        assert task is not None
        assert list(task.networks[0].addresses) == ["10.0.1.5/29"]
        with pytest.raises(SwarmError, match=r"10\.0\.1\.5 cannot be had") as caught:
            await manager.attach(request(TWO, "front", "10.0.1.5"))
        assert caught.value.code is Code.EXHAUSTED
        await manager.decide()
        assert manager.store.get(Task, TWO) is None

    run(scenario)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (request(ONE, "nosuch"), "no network 'nosuch'"),
        (request(ONE, "back"), "not made attachable"),
        (request("1"), "is no id"),
        (request(ONE, "front", "10.0.2.5"), "not in the network"),
        (request(ONE, "front", "10.0.1.0"), "no host's address"),
        (request(ONE, "front", "x"), "no IP address"),
        (request(ONE, "front", "10.0.1.5", "10.0.1.4"), "one address of each IP version"),
    ],
)
def test_who_may_not_be_there_is_refused(asked: Any, words: str) -> None:
    async def scenario(manager: Manager) -> None:
        with pytest.raises(SwarmError, match=words):
            await manager.attach(asked)
        assert list(manager.store.all(Task)) == []

    run(scenario)


def test_a_place_is_its_nodes_alone() -> None:
    async def scenario(manager: Manager) -> None:
        await manager.attach(request())
        with pytest.raises(SwarmError, match="none of node n2") as caught:
            await manager.attach(request(), "n2")
        assert caught.value.code is Code.DENIED

    run(scenario)


def test_where_nobody_decides_the_node_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachments, "PATIENCE", 0.0)

    async def scenario(manager: Manager) -> None:
        with pytest.raises(SwarmError, match="none was found"):
            await manager.attachments.attach("n1", request())
        await manager.decide()
        assert manager.store.get(Task, ONE) is None

    run(scenario)
