"""Watch: what a client asked to see, first as it is, then commit by commit.

A client that cannot keep up gets a resync: the present state again, marked as such.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from api.v1 import control_pb2, objects_pb2
from manager.state.changes import Event, StoredObject, wrap
from manager.state.store import Store
from manager.state.watch import WatchHub

Selector = control_pb2.WatchSelector
Redact = Callable[[StoredObject], StoredObject]

_KIND_OF = {
    Selector.KIND_SERVICE: objects_pb2.Service,
    Selector.KIND_TASK: objects_pb2.Task,
    Selector.KIND_NODE: objects_pb2.Node,
    Selector.KIND_CLUSTER: objects_pb2.Cluster,
}
INITIAL_CHUNK = 500
"""Objects in one message of the initial state, so that a message stays small."""


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
    store: Store, selectors: Iterable[Selector], redact: Redact, *, resync: bool
) -> list[control_pb2.WatchMessage]:
    found = [obj for selector in selectors for obj in _matching(store, selector)]
    events = [
        control_pb2.WatchEvent(action=control_pb2.WatchEvent.ACTION_NONE, object=wrap(redact(obj)))
        for obj in found
    ]
    return [
        control_pb2.WatchMessage(
            version=store.version,
            events=events[start : start + INITIAL_CHUNK],
            resync=resync and start == 0,
        )
        for start in range(0, max(1, len(events)), INITIAL_CHUNK)
    ]


def _matching(store: Store, selector: Selector) -> Iterable[StoredObject]:
    candidates: Iterable[StoredObject]
    if selector.kind == Selector.KIND_TASK and selector.service_id:
        candidates = store.tasks_of_service(selector.service_id)
    else:
        candidates = store.all(_KIND_OF[selector.kind])
    return [obj for obj in candidates if _selects(selector, obj)]


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
