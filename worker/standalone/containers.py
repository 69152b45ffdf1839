"""The containers of a host that are no tasks: made, started, ended and connected as its operator
says.

A thin shell. They run through an executor of their own over the same driver as tasks do, and
outlive the daemon, as their networks do; what the disk says of them is enough to go on. Nothing
restarts them. Managers know of none of this but the places in networks of the swarm.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator

from api.errors import Code, SwarmError
from api.ids import IdSource
from api.times import duration, timestamp
from api.v1 import containers_pb2, logs_pb2, objects_pb2, specs_pb2
from hostkit.clock import Clock
from runtime.driver import ContainerDriver, ContainerState
from worker.attachments import Attachments
from worker.container import ContainerExecutor
from worker.node_networks import NodeNetworks
from worker.standalone import refusals, specs
from worker.standalone.clothes import dressed, find, mode_of, shares
from worker.standalone.host_networks import HostNetworks
from worker.standalone.local_networks import LocalNetworks
from worker.standalone.places import Places, until_told
from worker.standalone.sharing import Sharing
from worker.standalone.stacks import Stacks
from worker.standalone.storage import LocalStorage, place_of
from worker.standalone.views import view

log = logging.getLogger(__name__)

Container = containers_pb2.Container
Place = containers_pb2.ContainerEndpoint
Asked = specs_pb2.NetworkAttachmentSpec
Task = objects_pb2.Task


class Containers:
    """Of one host. `recover` first, `close` last."""

    def __init__(
        self,
        driver: ContainerDriver,
        executor: ContainerExecutor,
        networks: NodeNetworks,
        stacks: Stacks,
        attachments: Attachments,
        storage: LocalStorage,
        *,
        ids: IdSource,
        wall: Clock,
    ) -> None:
        """`stacks`: what all executors of the host join their containers to."""
        self._driver = driver
        self._executor = executor
        self._networks = networks
        self._storage = storage
        self._ids = ids
        self._wall = wall
        self._containers: dict[str, Container] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self.host = HostNetworks(LocalNetworks(), storage, networks, ids)
        self._places = Places(self.host, attachments, ids)
        attachments.lost = self._leave_swarm
        sharing = Sharing(self._all, driver, executor, networks)
        stacks.lend, stacks.end_sharers = sharing.lend, sharing.end

    async def recover(self, *, member: bool) -> None:
        """Goes on with what an earlier daemon left, once the driver has. `member`: the host is in
        a swarm.
        """
        saved = await self._storage.load()
        self._containers = {each.id: each for each in saved.containers}
        found = set(await self._executor.recover())
        for unknown in found - self._containers.keys():
            log.warning("container %s is not known any more and is removed", unknown)
            await self._driver.remove(unknown)
        running = [each for each in self._containers.values() if await self._runs(each)]
        over = self._containers.keys() - {each.id for each in running}
        local = LocalNetworks(saved.networks, saved.endpoints)
        for owner in over:
            local.take_back(owner)
        stays = set(map(place_of, local.endpoints.values()))
        gone = [place for place in map(place_of, saved.endpoints) if place not in stays]
        await self._storage.write(gone=gone)
        self.host.local = local
        for each in running:
            for place in [place for place in each.networks if not place.network_id]:
                each.networks.remove(place)  # the daemon died before it was connected
            self._places.hold(each)
        await self._networks.begin(local.items(), map(dressed, running), member=member)
        if over and not running and not member:
            await self._networks.clear()  # what they left, if they ended while no daemon was there
        for each in running:
            self._watch(each)

    async def close(self) -> None:
        """Watches no more; what runs goes on."""
        watchers = list(self._watchers.values())
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        await self._storage.close()

    # --- life -------------------------------------------------------------------------------

    async def create(self, spec: containers_pb2.StandaloneSpec) -> Container:
        """A container that does not run yet; its image is here afterwards."""
        container = specs.made(spec, self._ids(), timestamp(self._wall()))
        name = container.spec.annotations.name
        if find(self._all(), name) is not None:
            raise refusals.name_taken(name)
        shared = mode_of(container.spec)
        if shares(container, self._all()) is None and ":" in shared:
            raise refusals.unknown(shared.partition(":")[2])
        await self._executor.image(spec.container)
        if find(self._all(), name) is not None:  # another call was faster
            raise refusals.name_taken(name)
        self._containers[container.id] = container
        try:
            await self._storage.write([container])
        except BaseException:
            del self._containers[container.id]
            raise
        return await self._view(container)

    async def start(self, key: str) -> Container:
        """Lets it run, with its networks and ports; nothing happens if it does."""
        while True:
            async with self._locked(key) as container:
                state = await self._state(container)
                again = state is not None and state.phase == "exited"
                watcher = self._watchers.get(container.id)
                if not again or watcher is None:
                    if state is None or state.phase != "running":
                        await self._start(container, again=again)
                    return await self._view(container)
            # It has ended just now, and what it had in networks is being given back.
            await asyncio.wait({watcher})

    async def stop(self, key: str, grace: float | None) -> Container:
        """Asks it to end, and kills it after `grace` seconds, or its own; nothing happens to one
        that does not run.
        """
        async with self._locked(key) as container:
            task = dressed(container)
            if grace is not None:
                task.spec.container.stop_grace_period.CopyFrom(duration(grace))
            await self._executor.shutdown(task)
            await self._release(container)
            return await self._view(container)

    async def remove(self, key: str, *, force: bool) -> str:
        """Deletes every trace. REFUSED if it runs, unless `force`, which kills it."""
        async with self._locked(key) as container:
            if await self._runs(container) and not force:
                raise refusals.runs(container)
            task = dressed(container)
            await self._executor.terminate(task)
            await self._release(container)
            await self._executor.remove(task)
            await self._storage.write(gone=[place_of(container)])
            del self._containers[container.id]
            self._locks.pop(container.id, None)
            return container.id

    async def every(self, *, stopped: bool) -> list[Container]:
        """Newest first; those that run, and with `stopped` all others."""
        shown = [await self._view(container) for container in self._all()]
        wanted = [each for each in shown if stopped or each.state == Container.STATE_RUNNING]
        return sorted(wanted, key=lambda each: each.created_at.ToNanoseconds(), reverse=True)

    async def inspect(self, key: str) -> Container:
        """One, as it is now."""
        return await self._view(self._get(key))

    async def logs(
        self, key: str, options: logs_pb2.LogOptions
    ) -> AsyncGenerator[logs_pb2.LogMessage, None]:
        """What it wrote; see Executor."""
        lines = self._executor.logs(dressed(self._get(key)), options)
        async with contextlib.aclosing(lines):
            async for line in lines:
                yield line

    # --- networks ---------------------------------------------------------------------------

    async def connect(self, key: str, asked: Asked) -> Container:
        """Puts it into a further network, while it runs or before. Fails as a whole, or not."""
        async with self._locked(key) as container:
            specs.refuse_connecting(container, asked)
            changed = _copy(container)
            place = changed.networks.add(
                name=asked.target, aliases=asked.aliases, asked=asked.addresses
            )
            if not await self._runs(container):
                return await self._keep(changed)
            try:
                await self._places.take(changed, place, self._keep)
                await until_told(lambda: self._networks.join(dressed(changed)))
                return await self._keep(changed)
            except BaseException:
                with contextlib.suppress(SwarmError):  # it has what it had, if it was cut off
                    await self._networks.join(dressed(container))
                await self._places.give_back(changed, place)
                await self._keep(container)
                raise

    async def disconnect(self, key: str, network: str, *, force: bool) -> Container:
        """Takes it out of a network, also while it runs. NOT_FOUND if it is in none of that name,
        unless `force`.
        """
        async with self._locked(key) as container:
            changed = _copy(container)
            place = next((p for p in changed.networks if network in (p.name, p.network_id)), None)
            if place is None and force:
                return await self._view(container)
            if place is None:
                raise refusals.not_connected(container, network)
            left = Place()
            left.CopyFrom(place)
            changed.networks.remove(place)
            if await self._runs(container):
                await self._networks.join(dressed(changed))
                await self._places.give_back(container, left)
            return await self._keep(changed)

    # --- within -----------------------------------------------------------------------------

    async def _start(self, container: Container, *, again: bool) -> None:
        """`again`: it has ended before, and has what it wrote."""
        changed = _copy(container)
        try:
            for place in changed.networks:
                await self._places.take(changed, place, self._keep)
            del changed.ports[:]
            if container.spec.ports:
                changed.ports.extend(await self._networks.grant(container.spec.ports))
            await self._keep(changed)
            made = self._executor.renew if again else self._executor.prepare
            await until_told(lambda: made(dressed(changed)))
            await self._executor.start(dressed(changed))
        except BaseException:
            await self._undo(changed, keep=again)
            raise
        self._watch(changed)

    async def _undo(self, container: Container, *, keep: bool) -> None:
        """It could not be started: it is gone, or with `keep` it has ended, as before."""
        if keep:
            await self._driver.kill(container.id)
            await self._executor.shutdown(dressed(container))
        else:
            await self._executor.remove(dressed(container))
        await self._release(container)

    async def _release(self, container: Container) -> None:
        """It does not run: its places and ports are others' from now on."""
        changed = _copy(self._containers.get(container.id, container))
        for place in (*container.networks, *changed.networks):
            await self._places.give_back(container, place)
        for place in changed.networks:
            place.attachment_id = place.network_id = ""
        del changed.ports[:]
        await self._keep(changed)

    async def _leave_swarm(self) -> None:
        """The host has left its swarm, and every container the networks of that."""
        for each in self._all():
            async with self._lock(each.id):
                present = self._containers.get(each.id)
                if present is None or not any(place.attachment_id for place in present.networks):
                    continue
                changed = _copy(present)
                del changed.networks[:]
                changed.networks.extend(p for p in present.networks if not p.attachment_id)
                try:
                    if await self._runs(present):
                        await self._networks.join(dressed(changed))
                    await self._keep(changed)
                except SwarmError as error:
                    log.warning("container %s: %s", present.spec.annotations.name, error)

    def _watch(self, container: Container) -> None:
        watcher = asyncio.create_task(self._await_end(container), name=f"container {container.id}")
        self._watchers[container.id] = watcher
        watcher.add_done_callback(lambda ended: self._watched(container.id, ended))

    def _watched(self, container_id: str, watcher: asyncio.Task[None]) -> None:
        if self._watchers.get(container_id) is watcher:
            del self._watchers[container_id]
        if not watcher.cancelled() and (error := watcher.exception()) is not None:
            log.error("container %s: its end is not seen to", container_id, exc_info=error)

    async def _await_end(self, container: Container) -> None:
        await self._executor.wait(dressed(container))
        async with self._lock(container.id):
            present = self._containers.get(container.id)
            if present is not None:
                await self._release(present)

    async def _keep(self, container: Container) -> Container:
        await self._storage.write([container])
        self._containers[container.id] = container
        return await self._view(container)

    async def _view(self, container: Container) -> Container:
        present = self._containers.get(container.id, container)
        addresses = await self._networks.addresses(container.id)
        return view(present, await self._state(container), addresses)

    async def _runs(self, container: Container) -> bool:
        state = await self._state(container)
        return state is not None and state.phase == "running"

    async def _state(self, container: Container) -> ContainerState | None:
        try:
            return await self._driver.state(container.id)
        except SwarmError as error:
            if error.code is Code.NOT_FOUND:
                return None
            raise

    def _all(self) -> list[Container]:
        return list(self._containers.values())

    def _get(self, key: str) -> Container:
        found = find(self._all(), key)
        if found is None:
            raise refusals.unknown(key)
        return found

    @contextlib.asynccontextmanager
    async def _locked(self, key: str) -> AsyncIterator[Container]:
        """A container to which nothing else is done meanwhile."""
        container_id = self._get(key).id
        async with self._lock(container_id):
            yield self._get(container_id)

    def _lock(self, container_id: str) -> asyncio.Lock:
        return self._locks.setdefault(container_id, asyncio.Lock())


def _copy(container: Container) -> Container:
    made = Container()
    made.CopyFrom(container)
    return made
