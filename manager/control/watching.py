"""Watch: what a client asked to see, first as it is, then commit by commit.

A client that cannot keep up gets a resync: the present state again, marked as such.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from api.v1 import control_pb2, objects_pb2
from manager.state.changes import Event, StoredObject, wrap
from manager.state.store import Store
from manager.state.watch import WatchHub

Selector = control_pb2.WatchSelector
Redact = Callable[[StoredObject], StoredObject]

_NONE = control_pb2.WatchEvent.ACTION_NONE
_KIND_OF = {
    Selector.KIND_SERVICE: objects_pb2.Service,
    Selector.KIND_TASK: objects_pb2.Task,
    Selector.KIND_NODE: objects_pb2.Node,
    Selector.KIND_CLUSTER: objects_pb2.Cluster,
    Selector.KIND_NETWORK: objects_pb2.Network,
    Selector.KIND_VOLUME: objects_pb2.Volume,
}
INITIAL_CHUNK = 500
INITIAL_BYTES = 1 << 20
"""Objects in one message of the initial state; the one that brings it to this size is its last."""


async def watch(
    store: Store, hub: WatchHub, request: control_pb2.WatchRequest, redact: Redact
) -> AsyncIterator[control_pb2.WatchMessage]:
    """Messages until the caller leaves. `redact` takes out what the caller may not see."""
    selectors = list(request.selectors) or [Selector(kind=kind) for kind in _KIND_OF]
    woken = asyncio.Event()
    subscription = hub.subscribe(
        woken.set, match=lambda event: any(_selects(s, event.object) for s in selectors)
    )
    try:
        for message in _present(store, selectors, redact, resync=False):
            yield message
        while True:
            await woken.wait()
            woken.clear()
            commits = subscription.take()
            if commits is None:
                for message in _present(store, selectors, redact, resync=True):
                    yield message
                continue
            for commit in commits:
                yield control_pb2.WatchMessage(
                    version=commit.version,
                    events=[_event(event, redact) for event in commit.events],
                )
    finally:
        hub.unsubscribe(subscription)


def _present(
    store: Store, selectors: Sequence[Selector], redact: Redact, *, resync: bool
) -> Iterator[control_pb2.WatchMessage]:
    """What there is at this moment, however late the messages are asked for."""
    version = store.version
    found = [(each, _candidates(store, each)) for each in selectors]

    def messages() -> Iterator[control_pb2.WatchMessage]:
        message = control_pb2.WatchMessage(version=version, resync=resync)
        begun, size = False, 0
        for selector, candidates in found:
            for obj in candidates:
                if _selects(selector, obj):
                    message.events.add(action=_NONE, object=wrap(redact(obj)))
                    size += obj.ByteSize()
                if len(message.events) == INITIAL_CHUNK or size >= INITIAL_BYTES:
                    yield message
                    begun, size = True, 0
                    message = control_pb2.WatchMessage(version=version)
        if message.events or not begun:
            yield message

    return messages()


def _candidates(store: Store, selector: Selector) -> Sequence[StoredObject]:
    kind = _KIND_OF[selector.kind]
    if selector.id:
        found = store.get(kind, selector.id)
        return [] if found is None else [found]
    if selector.kind == Selector.KIND_TASK and selector.service_id:
        return store.tasks_of_service(selector.service_id)
    return list(store.all(kind))


def _selects(selector: Selector, obj: StoredObject) -> bool:
    if not isinstance(obj, _KIND_OF[selector.kind]):
        return False
    if selector.id and obj.id != selector.id:
        return False
    if isinstance(obj, objects_pb2.Task):
        return selector.service_id in ("", obj.service_id) and selector.node_id in (
            "",
            obj.node_id,
        )
    return True


def _event(event: Event, redact: Redact) -> control_pb2.WatchEvent:
    if event.old is None:
        action = control_pb2.WatchEvent.ACTION_CREATE
    elif event.new is None:
        action = control_pb2.WatchEvent.ACTION_DELETE
    else:
        action = control_pb2.WatchEvent.ACTION_UPDATE
    return control_pb2.WatchEvent(action=action, object=wrap(redact(event.object)))
