"""Logs of this node's tasks, as a manager's log broker asks for them."""

import asyncio

from api.errors import Code, SwarmError
from api.states import ASSIGNED, REJECTED, RUNNING
from api.v1 import logs_pb2, objects_pb2
from tests.support.fake_executor import Exit
from tests.support.paper_node import Node
from worker import logs

Subscription = logs_pb2.Subscription


def task(task_id: str, service: str = "s") -> objects_pb2.Task:
    made = objects_pb2.Task(id=task_id, service_id=service, node_id="n", desired_state=RUNNING)
    made.spec.container.image = "app:1"
    made.status.state = ASSIGNED
    return made


def subscription(
    name: str = "x",
    *,
    follow: bool = False,
    services: tuple[str, ...] = ("s",),
    tail: int = -1,
    found: tuple[str, ...] = (),
) -> Subscription:
    made = Subscription(id=name, tail_task_ids=found)
    made.selector.service_ids.extend(services)
    made.options.follow = follow
    made.options.tail = tail
    return made


def test_selectors() -> None:
    def chosen(**selector: list[str]) -> bool:
        return logs.selects(logs_pb2.LogSelector(**selector), task("a"))

    assert chosen(task_ids=["b", "a"])
    assert chosen(service_ids=["s"])
    assert chosen(node_ids=["n"])
    assert chosen(task_ids=["b"], service_ids=["s"])
    assert not chosen(task_ids=["b"], service_ids=["t"], node_ids=["m"])
    assert not chosen()


def test_all_lines_of_the_selected_tasks_then_the_end(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks |= {"a": task("a"), "b": task("b"), "c": task("c", "other")}
        async with node.agent():
            for name in "abc":
                await manager.reported(name, RUNNING)
                node.executor.containers[name].lines = [f"{name}{i}".encode() for i in range(500)]
            node.executor.containers["b"].end(Exit(1))  # its container is kept
            await manager.subscribe(subscription())
            await manager.until(lambda: any(m.done for m in manager.published["x"]))
        found = manager.lines("x")
        for name in "ab":
            own = [line for line in found if line.startswith(name.encode())]
            assert own == node.executor.containers[name].lines
        assert len(found) == 1000
        last = manager.published["x"][-1]
        assert (last.done, last.error) == (True, "")
        assert {m.task_id for batch in manager.published["x"] for m in batch.messages} == {"a", "b"}

    node.run(scenario)


def test_nothing_matches(node: Node) -> None:
    async def scenario() -> None:
        async with node.agent():
            await node.manager.until(lambda: node.manager.listening)
            await node.manager.subscribe(subscription())
            await node.manager.until(lambda: node.manager.published["x"])
        (only,) = node.manager.published["x"]
        assert only == logs_pb2.PublishLogsMessage(subscription_id="x", done=True)

    node.run(scenario)


def test_following_takes_in_later_lines_and_later_tasks_until_it_is_closed(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks["a"] = task("a")
        async with node.agent():
            await manager.reported("a", RUNNING)
            await manager.subscribe(subscription(follow=True))
            node.executor.containers["a"].write(b"first")
            await manager.until(lambda: b"first" in manager.lines("x"))
            await manager.assign(task("b"))
            await manager.reported("b", RUNNING)
            node.executor.containers["b"].write(b"second")
            await manager.until(lambda: b"second" in manager.lines("x"))
            await manager.subscribe(Subscription(id="x", close=True))
            async with asyncio.timeout(20):
                while any(t.get_name().startswith("logs of") for t in asyncio.all_tasks()):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            node.executor.containers["a"].write(b"late")
        assert manager.lines("x") == [b"first", b"second"]
        assert not any(batch.done for batch in manager.published["x"])

    node.run(scenario)


def test_the_last_lines_are_those_of_the_tasks_that_a_follower_found(node: Node) -> None:
    """Of the others all is sent, though they were read late: here after they had written."""

    async def scenario() -> None:
        manager = node.manager
        manager.tasks |= {"a": task("a"), "b": task("b")}
        async with node.agent():
            for name in "ab":
                await manager.reported(name, RUNNING)
                node.executor.containers[name].lines = [f"{name}{i}".encode() for i in range(3)]
            await manager.subscribe(subscription(follow=True, tail=1, found=("a",)))
            await manager.until(lambda: len(manager.lines("x")) == 4)
            late = node.executor.gates["logs"] = asyncio.Event()
            await manager.assign(task("c"))
            await manager.reported("c", RUNNING)
            node.executor.containers["c"].lines = [b"c0", b"c1", b"c2"]
            late.set()
            await manager.until(lambda: len(manager.lines("x")) == 7)
        assert sorted(manager.lines("x")) == [b"a2", b"b0", b"b1", b"b2", b"c0", b"c1", b"c2"]

    node.run(scenario)


def test_the_last_lines_are_those_of_every_task_where_nobody_follows(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks["a"] = task("a")
        async with node.agent():
            await manager.reported("a", RUNNING)
            node.executor.containers["a"].lines = [b"a0", b"a1", b"a2"]
            await manager.subscribe(subscription(tail=2))
            await manager.until(lambda: any(m.done for m in manager.published["x"]))
        assert manager.lines("x") == [b"a1", b"a2"]

    node.run(scenario)


def test_without_follow_later_tasks_are_left_out(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks["a"] = task("a")
        gate = node.executor.gates["logs"] = asyncio.Event()
        async with node.agent():
            await manager.reported("a", RUNNING)
            node.executor.containers["a"].lines = [b"mine"]
            await manager.subscribe(subscription())
            async with asyncio.timeout(20):
                while not node.executor.under_way:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            await manager.assign(task("b"))
            await manager.reported("b", RUNNING)
            gate.set()
            await manager.until(lambda: any(m.done for m in manager.published["x"]))
        assert manager.lines("x") == [b"mine"]
        assert "logs" not in node.executor.steps("b")

    node.run(scenario)


def test_a_task_that_cannot_be_read_is_named_and_one_without_a_container_is_not(
    node: Node,
) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks |= {"a": task("a"), "b": task("b")}
        async with node.agent():
            for name in "ab":
                await manager.reported(name, RUNNING)
                node.executor.containers[name].lines = [b"line"]
            node.executor.failures["logs"] = [
                SwarmError(Code.INTERNAL, "the disk is gone"),
                SwarmError(Code.NOT_FOUND, "no container"),
            ]
            await manager.subscribe(subscription())
            await manager.until(lambda: manager.published["x"])
        assert manager.published["x"][-1].error == "task a: the disk is gone"

    node.run(scenario)


def test_a_rejected_task_has_no_logs(node: Node) -> None:
    async def scenario() -> None:
        node.executor.failures["prepare"] = [SwarmError(Code.NOT_FOUND, "No such image")]
        node.manager.tasks["a"] = task("a")
        async with node.agent():
            await node.manager.reported("a", REJECTED)
            await node.manager.subscribe(subscription())
            await node.manager.until(lambda: node.manager.published["x"])
        assert "logs" not in node.executor.steps("a")

    node.run(scenario)


def test_a_slow_manager_holds_the_readers_back(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        gate = manager.hold_publish = asyncio.Event()
        manager.tasks["a"] = task("a")
        line, count = b"x" * 1000, 20_000
        async with node.agent():
            await manager.reported("a", RUNNING)
            read = 0

            class Counted(list[bytes]):
                def __getitem__(self, index: object) -> object:  # type: ignore[override]
                    return self.each()

                def each(self) -> object:
                    nonlocal read
                    for _ in range(count):
                        read += 1
                        yield line

                def __len__(self) -> int:
                    return count

            node.executor.containers["a"].lines = Counted()
            await manager.subscribe(subscription())
            before = -1
            async with asyncio.timeout(20):
                while read != before or not read:
                    before = read
                    await asyncio.sleep(0.2)
            assert 0 < read < count // 2
            gate.set()
            await manager.until(lambda: any(m.done for m in manager.published["x"]))
        assert len(manager.lines("x")) == count

    node.run(scenario)


def test_subscriptions_begin_again_with_a_new_session(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks["a"] = task("a")
        manager.subscriptions = [subscription(follow=True)]
        async with node.agent() as agent:
            await manager.reported("a", RUNNING)
            node.executor.containers["a"].write(b"one")
            await manager.until(lambda: manager.lines("x") == [b"one"])
            agent.reconnect()
            await manager.until(lambda: manager.lines("x") == [b"one", b"one"])
            assert manager.sessions == 2

    node.run(scenario)
