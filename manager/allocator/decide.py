"""The allocator: a new task becomes schedulable once everything that it needs is set aside for it.

One loop gives networks their subnets, services their virtual addresses and ports, nodes their place
in the ingress network, and tasks one address for each network and family: then the task goes from
NEW to PENDING. What is not to be had leaves the task NEW, with the reason in its status, until
there is room. Places nothing. Cost is per object that changed, whatever is in its networks.
"""

from collections.abc import Iterator
from typing import TypeVar

from api import states
from api.v1 import objects_pb2
from manager.allocator.attach import NotYet, gives_back
from manager.allocator.book import Book, Owner, owner_of
from manager.allocator.queue import Queue
from manager.allocator.turn import Turn
from manager.decision import Decision
from manager.state.changes import KINDS, Batch, Event, StoredObject
from manager.state.networks import networks_of_service, ports_of_service, publishes
from manager.state.store import View

MAX_TASKS = 250
"""Tasks per decision, so that a step stays under 20 ms, though each joins networks."""
MAX_RELEASES = 100
"""Tasks that give addresses back in one batch: if one of them has changed meanwhile, all are looked
at again, then fewer at a time.
"""

Network = objects_pb2.Network
Node = objects_pb2.Node
Service = objects_pb2.Service
Task = objects_pb2.Task

K = TypeVar("K", Owner, str)


class AllocatorLoop:
    """Sets aside what services, nodes and tasks need. Fulfils manager.decision.Loop."""

    name = "allocator"
    kinds = (Task, Service, Network, Node)
    debounce = 0.0

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._book = Book()
        self._unseen: dict[Owner, None] = {}  # networks, services, nodes: what may lack something
        self._new = Queue()
        self._ended = Queue()
        self._refused: dict[Owner, None] = {}
        self._waiting: dict[str, dict[Owner, None]] = {}  # by what it takes
        self._waits_for: dict[Owner, str] = {}
        self._why: dict[str, str] = {}  # by service that cannot have what it needs
        self._releases = MAX_RELEASES
        self._every_node = False

    def reset(self, view: View) -> None:
        """Learns what everybody holds, and takes everything as unseen."""
        self._forget()
        for obj in _everything(view):
            self._book.follow(obj)
            self._note(obj)

    def observe(self, event: Event) -> bool:
        """Keeps the book; notes what may lack something, or have more than it needs."""
        obj = event.object
        if event.new is None:
            self._book.forget(obj)
            self._waits_no_more(owner_of(obj))
            self._unseen.pop(owner_of(obj), None)
            self._why.pop(obj.id, None)
        else:
            self._book.follow(obj)
            self._note(obj)
        if isinstance(obj, Network) and _gives_room(event):
            self._wake(obj.id)
            self._wake("")
            if _changes_shape(event):
                self._wake_all()
                self._every_node |= obj.spec.ingress
        elif isinstance(obj, Service):
            self._wake(obj.id)
            if _gives_ports(event):
                self._wake("")
        return self._has_work()

    def decide(self, view: View, now: float) -> Decision:
        """Sets aside and takes back; PENDING for every new task that has all it needs."""
        self._look_again(view)
        turn = Turn(view, self._book, now)
        self._look_at_others(view, turn)
        for task_id in self._ended.take(self._releases):
            task = view.get(Task, task_id)
            if task is None or not gives_back(task):
                continue
            if turn.is_full:
                self._ended.put(task_id)
            else:
                turn.release(task)
        self._releases = min(MAX_RELEASES, 2 * self._releases)
        for task_id in self._new.take(MAX_TASKS):
            task = view.get(Task, task_id)
            if task is not None and _is_due(task):
                self._look_at_task(task, turn)
        turn.warn(_all(self._book.touched))
        return Decision(turn.batches(), more=self._has_work())

    def refused(self, batch: Batch) -> None:
        """Looks at everything in the batch again, as it is by then."""
        if sum(isinstance(change.object, Task) for change in batch.changes) > 1:
            self._releases = max(1, self._releases // 4)
        for change in batch.changes:
            if not isinstance(change.object, objects_pb2.Cluster):
                self._refused[owner_of(change.object)] = None

    # --- what is to be looked at

    def _note(self, obj: StoredObject) -> None:
        if isinstance(obj, Task):
            if _is_due(obj):
                self._new.put(obj.id)
            elif gives_back(obj):
                self._waits_no_more(owner_of(obj))
                self._ended.put(obj.id)
        elif isinstance(obj, Network):
            self._unseen[owner_of(obj)] = None
            self._book.touched[obj.id] = None
        elif not isinstance(obj, Service) or _concerns(obj):
            self._unseen[owner_of(obj)] = None

    def _has_work(self) -> bool:
        queues = (self._unseen, self._new, self._ended, self._refused, self._book.touched)
        return self._every_node or any(queues)

    def _look_again(self, view: View) -> None:
        """What was refused did not come to be: the book follows the state, as it is."""
        for owner in _all(self._refused):
            obj = _find(view, owner)
            if obj is not None:
                self._book.follow(obj)
                self._note(obj)

    def _look_at_others(self, view: View, turn: Turn) -> None:
        if self._every_node:
            self._unseen.update((owner_of(node), None) for node in view.all(Node))
            self._every_node = False
        for owner in sorted(_all(self._unseen), key=_order):
            obj = _find(view, owner)
            if len(turn) >= MAX_TASKS or turn.is_full:
                self._unseen[owner] = None
            elif isinstance(obj, Network):
                turn.network(obj)
            elif isinstance(obj, Service | Node):
                self._look_at(obj, owner, turn)

    def _look_at(self, obj: Service | Node, owner: Owner, turn: Turn) -> None:
        why = ""
        try:
            turn.service(obj) if isinstance(obj, Service) else turn.node(obj)
            self._waits_no_more(owner)
        except NotYet as error:
            why = error.why
            self._wait(owner, error.network_id)
        if isinstance(obj, Service) and self._why.get(obj.id, "") != why:
            self._why[obj.id] = why
            self._wake(obj.id)

    def _look_at_task(self, task: Task, turn: Turn) -> None:
        owner = owner_of(task)
        try:
            turn.task(task)
            self._waits_no_more(owner)
        except NotYet as error:
            why = error.why or self._why.get(error.network_id, "")
            self._wait(owner, error.network_id)
            if why:
                turn.waits(task, why)

    # --- who waits for what

    def _wait(self, owner: Owner, key: str) -> None:
        self._waits_no_more(owner)
        self._waiting.setdefault(key, {})[owner] = None
        self._waits_for[owner] = key

    def _waits_no_more(self, owner: Owner) -> None:
        key = self._waits_for.pop(owner, None)
        if key is not None:
            del self._waiting[key][owner]
            if not self._waiting[key]:
                del self._waiting[key]

    def _wake(self, key: str) -> None:
        for owner in list(self._waiting.get(key, ())):
            self._waits_no_more(owner)
            if owner[0] == KINDS[Task]:
                self._new.put(owner[1])
            else:
                self._unseen[owner] = None

    def _wake_all(self) -> None:
        for key in list(self._waiting):
            self._wake(key)


_ORDER = (KINDS[Network], KINDS[Service], KINDS[Node])


def _order(owner: Owner) -> int:
    """Networks first, on which the others depend."""
    return _ORDER.index(owner[0])


def _everything(view: View) -> Iterator[StoredObject]:
    yield from view.all(Network)
    yield from view.all(Service)
    yield from view.all(Node)
    yield from view.all(Task)


def _find(view: View, owner: Owner) -> Network | Service | Node | Task | None:
    word, object_id = owner
    if word == KINDS[Task]:
        return view.get(Task, object_id)
    if word == KINDS[Service]:
        return view.get(Service, object_id)
    if word == KINDS[Node]:
        return view.get(Node, object_id)
    return view.get(Network, object_id)


def _is_due(task: Task) -> bool:
    return task.status.state == states.NEW and states.is_live(task)


def _concerns(service: Service) -> bool:
    """Whether the service needs, or holds, anything in networks."""
    return bool(networks_of_service(service) or service.spec.endpoint.ports) or bool(
        service.endpoint.ByteSize()
    )


def _gives_room(event: Event) -> bool:
    """Whether something may be had of the network now that was not to be had before."""
    old, new = event.old, event.new
    if not isinstance(old, Network) or not isinstance(new, Network):
        return True
    if _changes_shape(event):
        return True
    return bool({each.address for each in old.resting} - {each.address for each in new.resting})


def _changes_shape(event: Event) -> bool:
    """Whether the network has other subnets than before, or came or went."""
    old, new = event.old, event.new
    if not isinstance(old, Network) or not isinstance(new, Network):
        return True
    same = (old.vni, old.pending, old.spec) == (new.vni, new.pending, new.spec)
    return not same or list(old.pools) != list(new.pools)


def _gives_ports(event: Event) -> bool:
    """Whether a service gave ports up."""
    old, new = event.old, event.new
    if not isinstance(old, Service):
        return False
    kept = ports_of_service(new) if isinstance(new, Service) else frozenset()
    return bool(ports_of_service(old) - kept) or (
        isinstance(new, Service) and publishes(old.spec) != publishes(new.spec)
    )


def _all(names: dict[K, None]) -> list[K]:
    """Takes out everything, in order."""
    found = sorted(names)
    names.clear()
    return found
