"""Watch: the state first, then commits; a reader that falls behind starts anew."""

import asyncio
from collections.abc import AsyncIterator

from api.times import timestamp
from api.v1 import control_pb2, objects_pb2
from manager.control.watching import INITIAL_BYTES, INITIAL_CHUNK, watch
from manager.state.changes import StoredObject, batch, copy, create, delete, update
from manager.state.store import Store
from manager.state.watch import WatchHub
from tests.support.builders import network

Selector = control_pb2.WatchSelector
Event = control_pb2.WatchEvent
Task = objects_pb2.Task


class Scene:
    """A store whose commits are published, and a watch on it."""

    def __init__(self) -> None:
        self.store = Store()
        self.hub = WatchHub()

    def write(self, *changes: object) -> None:
        applied = self.store.apply(
            self.store.version + 1,
            timestamp(1),
            [batch(each) for each in changes],  # type: ignore[arg-type]
        )
        self.hub.publish(applied.index, applied.events)

    def watch(self, *selectors: Selector) -> AsyncIterator[control_pb2.WatchMessage]:
        request = control_pb2.WatchRequest(selectors=selectors)
        return watch(self.store, self.hub, request, _hide_names)


def _hide_names(obj: StoredObject) -> StoredObject:
    if isinstance(obj, objects_pb2.Cluster):
        hidden = copy(obj)
        hidden.ClearField("root_ca")
        return hidden
    return obj


def ids(message: control_pb2.WatchMessage) -> list[tuple[int, str]]:
    kinds = [each.object.WhichOneof("kind") or "" for each in message.events]
    return [
        (each.action, getattr(each.object, kind).id)
        for each, kind in zip(message.events, kinds, strict=True)
    ]


def test_the_present_state_comes_first_then_what_changes() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.write(create(Task(id="t1", service_id="s")), create(Task(id="t2", service_id="x")))
        watching = scene.watch(Selector(kind=Selector.KIND_TASK, service_id="s"))
        assert ids(await anext(watching)) == [(Event.ACTION_NONE, "t1")]

        scene.write(create(Task(id="t3", service_id="x")))
        changed = copy(scene.store.get(Task, "t1") or Task())
        changed.slot = 7
        scene.write(update(changed), create(Task(id="t4", service_id="s")))
        message = await anext(watching)
        assert ids(message) == [(Event.ACTION_UPDATE, "t1"), (Event.ACTION_CREATE, "t4")]
        assert message.version == 3

        scene.write(delete(scene.store.get(Task, "t1") or Task()))
        assert ids(await anext(watching)) == [(Event.ACTION_DELETE, "t1")]

    asyncio.run(scenario())


def test_an_empty_state_is_said_too() -> None:
    async def scenario() -> None:
        message = await anext(Scene().watch(Selector(kind=Selector.KIND_NODE)))
        assert (list(message.events), message.resync) == ([], False)

    asyncio.run(scenario())


def test_a_large_state_comes_in_parts() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.write(*(create(Task(id=f"t{n}")) for n in range(INITIAL_CHUNK + 1)))
        watching = scene.watch(Selector(kind=Selector.KIND_TASK))
        assert [len((await anext(watching)).events) for _ in range(2)] == [INITIAL_CHUNK, 1]

    asyncio.run(scenario())


def test_large_objects_come_in_messages_of_a_mebibyte() -> None:
    async def scenario() -> None:
        scene = Scene()
        large = Task(id="large")
        large.service_labels["text"] = "x" * (INITIAL_BYTES // 2)
        second, third = Task(id="second"), Task(id="third")
        second.service_labels.update(large.service_labels)
        scene.write(create(large), create(second), create(third))
        watching = scene.watch(Selector(kind=Selector.KIND_TASK))
        assert [len((await anext(watching)).events) for _ in range(2)] == [2, 1]

    asyncio.run(scenario())


def test_a_replaced_store_makes_the_client_start_anew() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.write(create(Task(id="t1")))
        watching = scene.watch(Selector(kind=Selector.KIND_TASK))
        await anext(watching)
        scene.hub.resync()
        message = await anext(watching)
        assert (ids(message), message.resync) == ([(Event.ACTION_NONE, "t1")], True)

    asyncio.run(scenario())


def test_secrets_are_taken_out() -> None:
    async def scenario() -> None:
        scene = Scene()
        cluster = objects_pb2.Cluster(id="c")
        cluster.root_ca.key_pem = b"secret"
        scene.write(create(cluster))
        message = await anext(scene.watch())
        assert b"secret" not in message.SerializeToString()

    asyncio.run(scenario())


def test_networks_can_be_watched_by_themselves() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.write(create(Task(id="t1", service_id="s")), create(network("front")))
        watching = scene.watch(Selector(kind=Selector.KIND_NETWORK))
        assert ids(await anext(watching)) == [(Event.ACTION_NONE, "front")]
        scene.write(create(network("back")))
        assert ids(await anext(watching)) == [(Event.ACTION_CREATE, "back")]

    asyncio.run(scenario())
