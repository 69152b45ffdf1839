"""The open streams of one session: what wakes them, and what ends them."""

import asyncio
from collections.abc import Callable, Iterable

from api.errors import SwarmError
from api.v1 import dispatcher_pb2, objects_pb2
from hostkit.clock import Clock
from manager.dispatcher.assignments import Assignments
from manager.dispatcher.catalogue import Key
from manager.dispatcher.files import Find
from manager.dispatcher.networks import NodeNetworks
from manager.dispatcher.sessions import Session
from manager.dispatcher.volumes import NodeVolumes
from manager.waiting import until_due


class Feed:
    """One assignment stream."""

    def __init__(
        self,
        node_id: str,
        find: Find,
        networks: NodeNetworks,
        volumes: NodeVolumes,
        monotonic: Clock,
        as_told: Callable[[objects_pb2.Task], objects_pb2.Task],
        version: Callable[[], int],
    ) -> None:
        """`version`: up to which everything that changed was shown to this feed."""
        self._assignments = Assignments(node_id, find, networks, as_told, volumes)
        self._networks = networks
        networks.heard = self._hear
        self._version = version
        self._monotonic = monotonic
        self._woken = asyncio.Event()
        self._ended: SwarmError | None = None

    def begin(
        self,
        tasks: Iterable[objects_pb2.Task],
        drained: Iterable[str],
        volumes: Iterable[objects_pb2.Volume],
    ) -> list[dispatcher_pb2.AssignmentsMessage]:
        """The first messages, from all tasks and volumes of the node; `drained` as of `drain`."""
        return self._assignments.complete(tasks, self._version(), drained, volumes)

    def observe(self, task_id: str, task: objects_pb2.Task | None) -> None:
        """A task of the node changed, came or went (None)."""
        self._assignments.observe(task_id, task, self._monotonic())
        self._woken.set()

    def observe_volume(self, volume_id: str) -> None:
        """A volume of the node changed, came or went."""
        self._assignments.observe_volume(volume_id, self._monotonic())
        self._woken.set()

    def drain(self, task_id: str) -> None:
        """Nobody is led to this task of the node any more, and it is to be stopped."""
        self._assignments.drain(task_id, self._monotonic())
        self._woken.set()

    def may_lead(self, endpoints: Iterable[Key], applied: int) -> bool:
        """As NodeNetworks.may_lead."""
        return self._networks.may_lead(endpoints, applied)

    def close(self) -> None:
        """Nobody reads this stream any more."""
        self._networks.close()

    def _hear(self, keys: Iterable[Key]) -> None:
        self._assignments.observe_networks(keys, self._monotonic())
        self._woken.set()

    def digests(self) -> dict[str, bytes]:
        """As NodeNetworks.digests."""
        return self._networks.digests()

    def confirmed(self, applied: int) -> int:
        """As Assignments.confirmed."""
        return self._assignments.confirmed(applied, self._version())

    def resync(
        self, tasks: Iterable[objects_pb2.Task], volumes: Iterable[objects_pb2.Volume]
    ) -> None:
        """Any task or volume of the node may have changed."""
        self._assignments.resync(tasks, self._monotonic(), volumes)
        self._woken.set()

    async def next(self) -> list[dispatcher_pb2.AssignmentsMessage]:
        """Waits for news and gathers it for a moment; raises what ended the stream."""
        await until_due(self._woken, self._due, self._monotonic)
        if self._ended is not None:
            raise self._ended
        return self._assignments.flush(self._version())

    def end(self, error: SwarmError) -> None:
        """Ends the stream with `error`."""
        self._ended = error
        self._woken.set()

    def _due(self) -> float | None:
        return 0.0 if self._ended is not None else self._assignments.due()


class Link:
    """One session as the service holds it; a second assignment stream ends the first."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._applied = 0
        self._feed: Feed | None = None
        self._woken = asyncio.Event()
        self._ended: SwarmError | None = None

    @property
    def feed(self) -> Feed | None:
        """The assignment stream, if it is open."""
        return self._feed

    def beat(self, applied: int) -> None:
        """The agent says up to which version of the state it has carried out what it was told."""
        self._applied = max(self._applied, applied)

    def confirmed(self) -> int:
        """The version up to which the node has carried out all that concerns it; 0: none."""
        return 0 if self._feed is None else self._feed.confirmed(self._applied)

    def may_lead(self, endpoints: Iterable[Key]) -> bool:
        """Whether the node may lead connections to one of these endpoints, as far as is known."""
        return self._feed is None or self._feed.may_lead(endpoints, self._applied)

    def greet(self) -> None:
        """What the agent is told of the cluster may have changed."""
        self._woken.set()

    async def changed(self) -> None:
        """Returns after `greet`; raises what ended the session."""
        await self._woken.wait()
        self._woken.clear()
        self.check()

    def check(self) -> None:
        """Raises what ended the session."""
        if self._ended is not None:
            raise self._ended

    def attach(self, feed: Feed, replaced: SwarmError) -> None:
        """Makes `feed` the assignment stream; the one before ends with `replaced`."""
        self.check()
        if self._feed is not None:
            self._feed.end(replaced)
        self._feed = feed

    def detach(self, feed: Feed) -> None:
        """The assignment stream was left."""
        if self._feed is feed:
            self._feed = None

    def end(self, error: SwarmError) -> None:
        """Ends every stream of the session with `error`, unless something ended it before."""
        if self._ended is not None:
            return
        self._ended = error
        self._woken.set()
        if self._feed is not None:
            self._feed.end(error)
