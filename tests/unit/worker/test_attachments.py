"""Places in networks for containers that are no tasks, against a manager on a unix socket."""

import asyncio

import pytest

from api.errors import Code, SwarmError
from api.states import COMPLETE, RUNNING, SHUTDOWN
from api.v1 import dispatcher_pb2, logs_pb2, objects_pb2
from tests.support.paper_node import Node, task
from worker import attachments


def a_place(task_id: str) -> objects_pb2.Task:
    made = task(task_id)
    made.spec.attachment.container_id = "box"
    return made


def request(attachment_id: str) -> dispatcher_pb2.AttachRequest:
    made = dispatcher_pb2.AttachRequest(attachment_id=attachment_id)
    made.network.target = "front"
    return made


def test_a_place_lasts_until_it_is_given_up(node: Node) -> None:
    async def scenario() -> None:
        async with node.agent():
            answer = await node.attachments.attach(request("p"))
            assert answer.network_id == "id of front"
            await node.manager.assign(a_place("p"))
            running = await node.manager.reported("p", RUNNING)
            assert running.container.container_id == "box"
            node.attachments.drop("p")
            assert (await node.manager.reported("p", COMPLETE)).error == ""
            await node.manager.remove("p")
        assert node.executor.steps("p") == []  # no container is ever looked for

    node.run(scenario)


def test_a_place_that_nobody_needs_any_more_ends_at_once(node: Node) -> None:
    async def scenario() -> None:
        node.manager.tasks["p"] = a_place("p")
        async with node.agent():
            await node.manager.reported("p", COMPLETE)

    node.run(scenario)


def test_a_place_outlives_the_daemon(node: Node) -> None:
    async def scenario() -> None:
        node.attachments.hold(["p"])
        node.manager.tasks["p"] = a_place("p")
        async with node.agent():
            await node.manager.reported("p", RUNNING)
        async with node.agent():
            await node.manager.until(lambda: node.manager.completes >= 2)
            node.attachments.drop("p")
            await node.manager.reported("p", COMPLETE)

    node.run(scenario)


def test_a_place_writes_no_logs(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        node.attachments.hold(["p"])
        manager.tasks["p"] = a_place("p")
        selector = logs_pb2.LogSelector(node_ids=["n"])
        manager.subscriptions = [logs_pb2.Subscription(id="s", selector=selector)]
        async with node.agent():
            await manager.reported("p", RUNNING)
            await manager.subscribe(logs_pb2.Subscription(id="t", selector=selector))
            await manager.until(lambda: any(each.done for each in manager.published["t"]))
            assert [each.error for each in manager.published["t"]] == [""]

    node.run(scenario)


def test_managers_may_take_a_place_back(node: Node) -> None:
    async def scenario() -> None:
        node.attachments.hold(["p"])
        node.manager.tasks["p"] = a_place("p")
        async with node.agent():
            await node.manager.reported("p", RUNNING)
            await node.manager.want("p", SHUTDOWN)
            await node.manager.reported("p", SHUTDOWN)

    node.run(scenario)


def test_a_refusal_is_told_and_nothing_is_held(node: Node) -> None:
    async def scenario() -> None:
        node.manager.refuse["Attach"] = [SwarmError(Code.REFUSED, "front is for tasks only")]
        async with node.agent():
            with pytest.raises(SwarmError, match="front is for tasks only"):
                await node.attachments.attach(request("p"))
            await asyncio.wait_for(node.attachments.given_up("p"), 20)

    node.run(scenario)


def test_a_manager_that_leads_no_more_is_not_the_last_word(node: Node) -> None:
    async def scenario() -> None:
        node.manager.refuse["Attach"] = [SwarmError(Code.UNAVAILABLE, "it does not lead")]
        async with node.agent():
            assert (await node.attachments.attach(request("p"))).network_id

    node.run(scenario)


def test_without_a_manager_there_is_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachments, "LIMIT", 0.0)
    with pytest.raises(SwarmError, match=r"no place in network front .*: no manager answered"):
        asyncio.run(attachments.Attachments().attach(request("p")))


def test_nobody_waits_for_the_managers_of_no_swarm() -> None:
    alone = attachments.Attachments()
    alone.is_member = lambda: False
    with pytest.raises(SwarmError, match="this host is in no swarm"):
        asyncio.run(asyncio.wait_for(alone.attach(request("p")), attachments.LIMIT / 2))
