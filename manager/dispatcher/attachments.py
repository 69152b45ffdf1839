"""Places in networks for containers that are no tasks, as their nodes ask for them.

Each becomes a task of no service, bound to its node (SwarmKit, manager/resourceapi). Its addresses
are the allocator's affair; it ends when its node reports so, and everything else follows by itself.
"""

import asyncio

from api import ids
from api.errors import Code, SwarmError, invalid
from api.networks import check_asked
from api.states import ASSIGNED, REMOVE, RUNNING
from api.times import timestamp
from api.v1 import dispatcher_pb2, objects_pb2
from hostkit.clock import Clock
from manager.state.changes import batch, copy, create, update
from manager.state.proposer import Proposer, propose_one
from manager.state.store import Store, View
from manager.state.watch import WatchHub

PATIENCE = 5.0
"""Seconds in which a place must be found."""

Network = objects_pb2.Network
Task = objects_pb2.Task
Request = dispatcher_pb2.AttachRequest


class Attachments:
    """`clock`: wall time."""

    def __init__(self, store: Store, hub: WatchHub, proposer: Proposer, clock: Clock) -> None:
        self._store = store
        self._hub = hub
        self._proposer = proposer
        self._clock = clock

    async def attach(self, node_id: str, request: Request) -> dispatcher_pb2.AttachResponse:
        """Returns once the container has its addresses; a repeated request finds the same place.

        NOT_FOUND, REFUSED or INVALID if it may not be there; EXHAUSTED if no address can be had.
        """
        network = attachable(self._store, request)
        task = self._store.get(Task, request.attachment_id)
        if task is None:
            task = place(node_id, network, request)
            task.status.at.CopyFrom(timestamp(self._clock()))
            await propose_one(
                self._proposer, batch(create(task)), request_id=task.id, object_id=task.id
            )
        elif task.node_id != node_id or not task.spec.HasField("attachment"):
            raise SwarmError(Code.DENIED, f"task {task.id} is none of node {node_id}")
        name = network.spec.annotations.name
        why = await self._placed(request.attachment_id)
        if why is not None:
            await self._give_up(request.attachment_id)
            raise SwarmError(Code.EXHAUSTED, f"no place in network {name} can be had", why=why)
        return dispatcher_pb2.AttachResponse(network_id=network.id, name=name)

    async def _placed(self, task_id: str) -> str | None:
        """None once it has its addresses, or why it gets none."""
        woken = asyncio.Event()
        subscription = self._hub.subscribe(
            woken.set, match=lambda event: event.object.id == task_id
        )
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    woken.clear()
                    subscription.take()
                    task = self._store.get(Task, task_id)
                    if task is None:
                        return "it was given up"
                    if task.status.state >= ASSIGNED:
                        return None
                    if task.status.error:
                        return task.status.error
                    await woken.wait()
        except TimeoutError:
            return f"none was found within {PATIENCE:g} s"
        finally:
            self._hub.unsubscribe(subscription)

    async def _give_up(self, task_id: str) -> None:
        """What has got a place after all meanwhile is ended by its node, which does not want it."""
        task = self._store.get(Task, task_id)
        if task is None or task.status.state >= ASSIGNED:
            return
        unwanted = copy(task)
        unwanted.desired_state = REMOVE
        try:
            await propose_one(self._proposer, batch(update(unwanted)))
        except SwarmError as error:
            if error.code is not Code.CONFLICT:
                raise


def attachable(view: View, request: Request) -> Network:
    """The network that is asked for, if the container may be in it. Pure."""
    if not ids.is_id(request.attachment_id):
        raise invalid("attachment_id", f"{request.attachment_id!r} is no id")
    if not request.container.container_id or not request.container.name:
        raise invalid("container", "the id and name of the container are needed")
    key = request.network.target
    network = view.get(Network, key) or view.named(Network, key)
    if network is None:
        raise SwarmError(
            Code.NOT_FOUND, f"there is no network {key!r}", remedy="see: swarmctl network ls"
        )
    name = network.spec.annotations.name
    if not network.spec.attachable or network.spec.ingress:
        raise SwarmError(
            Code.REFUSED,
            f"network {name} is for tasks only",
            why="it was not made attachable",
            remedy="make one with swarmctl network create --attachable",
        )
    check_asked("network.addresses", request.network.addresses, network.pools)
    return network


def place(node_id: str, network: Network, request: Request) -> Task:
    """The task that holds the place. Pure."""
    made = Task(id=request.attachment_id, node_id=node_id, desired_state=RUNNING)
    made.spec.attachment.CopyFrom(request.container)
    made.spec.networks.append(request.network)
    made.spec.networks[0].id = network.id
    return made
