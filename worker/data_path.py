"""What the kernel of this host does for networks, kept as the managers want it. Blocks.

One thread calls it, and no other: each step is milliseconds of netlink and nftables. It puts the
parts of `overlay_net` together and decides nothing of its own; names are `networks`' affair, which
live on the event loop. Nothing here ends with the daemon: `restore` finds it again.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from api.errors import Code, SwarmError
from api.v1 import dispatcher_pb2
from hostkit import netns
from overlay_net.encrypt.encryption import Encryption
from overlay_net.fabric.fabric import OWN_NAMESPACE, Done, Fabric
from overlay_net.fabric.hardware import GATEWAY_BRIDGE
from overlay_net.fabric.networks import VXLAN_PORT
from overlay_net.fabric.operations import (
    DropEntries,
    MakeLeg,
    PutEntries,
    RemoveLeg,
    RemoveTunnel,
    SetLeg,
    SetRoute,
)
from overlay_net.fabric.picture import Leg
from overlay_net.fabric.sandboxes import Sandboxes
from overlay_net.fabric.wanted import Sandbox, Wanted
from overlay_net.nft import LibNft
from worker.encrypted import Encrypted
from worker.executor import TemporaryError
from worker.guide import Guide
from worker.network_book import (
    ENDPOINT,
    NETWORK,
    PEER,
    Book,
    Endpoint,
    Item,
    Key,
    Network,
    News,
    Peer,
)
from worker.node_networks import Means
from worker.task_place import Place

log = logging.getLogger(__name__)

PREFIX = "swarm"
_TAKES_BACK = (DropEntries, PutEntries, RemoveLeg, RemoveTunnel)
"""Operations by which who was there before is forgotten."""


@dataclass(frozen=True)
class Made:
    """A task's network stack: its file, and its own addresses in its networks."""

    path: str
    addresses: tuple[str, ...]


class DataPath:
    """Of the node of this id. `encryption`: of its host; `host`: the file of the host's network
    namespace; `prefix`: how the names of all namespaces begin that are made here.
    """

    def __init__(
        self,
        node_id: str,
        nft: LibNft,
        encryption: Encryption,
        *,
        host: str = OWN_NAMESPACE,
        prefix: str = PREFIX,
    ) -> None:
        self._node_id = node_id
        self._nft = nft
        self._host = host
        self._tunnels = f"{prefix}-fabric"
        self._sandboxes = Sandboxes(f"{prefix}-task-")
        self._book = Book()
        self._encrypted = Encrypted(node_id, self._book, encryption)
        self._guide = Guide(node_id, nft, host, self._book, self._legs)
        self._wanted = Wanted(node_id)
        self._fabric: Fabric | None = None
        self._ground: tuple[str, int] = ("", 0)
        self._places: dict[str, tuple[Place, str]] = {}
        self.trouble: SwarmError | None = None
        """What could not be carried out in the last round; it is tried again with the next."""
        self.stale = False
        """Whether something of it had to go, and may be there still: the node may yet send to who
        was there before.
        """
        self._left_over = False  # as `stale`, of a round that is under way

    # --- what the managers tell -------------------------------------------------------------

    def restore(
        self, items: Iterable[Item], places: Iterable[Place], kept: Collection[str]
    ) -> tuple[News, list[tuple[Place, str]]]:
        """Goes on with what an earlier daemon knew: these items, and the tasks that live.

        Sandboxes of others are removed, but not those of `kept` tasks. Answers with the items, and
        with the tasks that have a sandbox, and its file.
        """
        self._encrypted.open()
        there = self._sandboxes.all()
        living = {place.task_id: place for place in places if place.task_id in there}
        for task_id in there.keys() - living.keys() - set(kept):
            self._sandboxes.remove(task_id)
        for task_id, place in living.items():
            self._put(place, there[task_id])
        news = self._book.restore(items)
        self._take(news)
        self.converge(look=True)
        return news, list(self._places.values())

    def follow(self, message: dispatcher_pb2.AssignmentsMessage) -> News:
        """Carries out what a message says of networks."""
        news = self._book.follow(message)
        if news:
            self._take(news)
            self.converge()
        return news

    def converge(self, *, look: bool = False) -> None:
        """Makes the host what it ought to be. `look`: believe the kernel, not the memory."""
        self._round(self._places.values(), look=look)

    def _round(self, places: Iterable[tuple[Place, str]], *, look: bool = False) -> None:
        """The same, but of tasks only for these."""
        self.trouble, self._left_over = None, False
        try:
            self._note(self._build(look=look))
        except (SwarmError, OSError) as error:
            self._failed(error, stale=True)
        try:
            self._publish(look=look)
        except (SwarmError, OSError) as error:
            self._failed(error, stale=True)
        for place, path in places:
            try:
                self._guide.lead(place, path, look=look)
            except (SwarmError, OSError) as error:
                self._failed(error, stale=True)
        self.stale = self._left_over

    def tend(self) -> None:
        """From time to time: makes good what ended by itself, and replaces a key that is old."""
        self._encrypted.rotate()
        if not self._encrypted.is_whole():
            self.converge(look=True)

    def renew_key(self, round: int) -> bool:
        """Makes another key for encrypted networks, unless it is of this round already."""
        return self._encrypted.rotate(round)

    def means(self) -> Means:
        """By what it encrypts."""
        return self._encrypted.means()

    # --- tasks ------------------------------------------------------------------------------

    def join(self, place: Place) -> Made:
        """The network stack of a task, with all that it is to have.

        SwarmError if a network cannot be built on this host, TemporaryError if it is not there yet.
        """
        addresses = self._addresses(place)
        new = not self._sandboxes.has(place.task_id)
        path = self._sandboxes.make(place.task_id)
        self._put(place, path)
        try:
            self._stand(place, path)
            self._publish()
            self._guide.lead(place, path, new=new)
        except OSError as error:
            self.leave(place.task_id)
            what = f"the networks of task {place.task_id} cannot be built yet"
            raise TemporaryError(Code.UNAVAILABLE, what, why=str(error)) from error
        except BaseException:
            self.leave(place.task_id)
            raise
        return Made(path, addresses)

    def leave(self, task_id: str) -> None:
        """The task has ended: its network stack goes. No error if it has none."""
        place, path = self._places.pop(task_id, (None, ""))
        if place is not None:
            self._wanted.drop_sandbox(task_id)
            self._guide.forget(place, path)
            if self._fabric is not None:
                self._fabric.forget(path)
        self._sandboxes.remove(task_id)
        if place is not None and place.ports:
            self._round(())

    def clear(self) -> None:
        """Nothing is left of any network, as when the node leaves its swarm; the last call."""
        for task_id in [*self._places, *self._sandboxes.all()]:
            self.leave(task_id)
        self._wanted = Wanted(self._node_id)
        if self._fabric is None and netns.exists(self._tunnels):
            self._fabric = Fabric(self._filter, "", namespace=self._tunnels, host=self._host)
        self._guide.remove()
        if self._fabric is not None:
            self._fabric.converge(self._wanted, fresh=True)
            self._drop_fabric()
            netns.delete(self._tunnels)
        self._encrypted.remove()

    def close(self) -> None:
        """Lets go of everything, and changes nothing."""
        self._drop_fabric()
        self._encrypted.close()

    def _drop_fabric(self) -> None:
        if self._fabric is not None:
            self._fabric.close()
        self._fabric, self._ground = None, ("", 0)

    # --- within -----------------------------------------------------------------------------

    def _put(self, place: Place, path: str) -> None:
        self._places[place.task_id] = (place, path)
        sandbox = Sandbox(path, place.networks, outward=bool(place.ports))
        self._wanted.put_sandbox(place.task_id, sandbox)

    def _take(self, news: News) -> None:
        for key in news.removed:
            self._drop(key)
        for item in news.updated:
            try:
                self._tell(item)
            except SwarmError as error:
                log.warning("the managers told what cannot be: %s", error)
        self._guide.hear(news)

    def _tell(self, item: Item) -> None:
        match item:
            case Network():
                self._wanted.put_network(item)
            case Peer():
                self._wanted.put_peer(item)
            case Endpoint():
                self._wanted.put_endpoint(item)

    def _drop(self, key: Key) -> None:
        if key.kind == NETWORK:
            self._wanted.drop_network(key.id)
        elif key.kind == PEER:
            self._wanted.drop_peer(key.id)
        elif key.kind == ENDPOINT:
            self._wanted.drop_endpoint(key.network_id, key.id)

    def _build(self, *, look: bool = False) -> Done | None:
        """Links and tunnels; None while this node does not know its own address."""
        me = self._book.peers.get(self._node_id)
        if me is None:
            return None
        ports = (each.data_path_port for each in self._book.networks.values())
        ground = address, port = me.data_path_address, next(filter(None, ports), VXLAN_PORT)
        if self._fabric is None or ground != self._ground:
            self._drop_fabric()
            self._fabric = Fabric(
                self._filter, address, port=port, namespace=self._tunnels, host=self._host
            )
            self._ground = ground
        # A host that publishes nothing is spared a route that may lie over one of its own.
        self._wanted.stands_in_ingress = self._guide.publishes(
            place for place, _ in self._places.values()
        )
        trouble = self._encrypted.prepare(me, port, look=look)
        if trouble is not None:
            self._failed(trouble, stale=False)
        self._wanted.guarded = self._encrypted.guarded
        done = self._fabric.converge(self._wanted, fresh=look)
        if not done.failed:  # else a tunnel may be left that must not be without
            self._encrypted.settle()
        return done

    def _filter(self, text: str) -> None:
        self._nft.run(Path(self._host), text)

    def _stand(self, place: Place, path: str) -> None:
        """The task's legs; raises what it cannot be without."""
        done = self._build()
        if done is None:
            raise _unknown("its own address")
        self._encrypted.check(filter(None, map(self._book.networks.get, place.networks)))
        for network_id in (*place.networks, *self._way_out(place)):
            if refused := self._wanted.refused.get(network_id):
                raise refused
        if any(_concerns(each.operation, path) for each in done.failed):
            error = done.failed[0].error
            raise TemporaryError(error.code, error.what, why=error.why, remedy=error.remedy)
        self._note(done)

    def _way_out(self, place: Place) -> tuple[str, ...]:
        """The gateway bridge, if the task has a way out."""
        networks = (self._book.networks.get(network_id) for network_id in place.networks)
        outward = place.ports or any(each and not each.internal for each in networks)
        return (GATEWAY_BRIDGE,) if outward else ()

    def _addresses(self, place: Place) -> tuple[str, ...]:
        """The task's own, without prefix lengths; TemporaryError while they are not known."""
        found: list[str] = []
        for network_id in place.networks:
            endpoint = self._book.endpoints(network_id).get(place.task_id)
            network = self._book.networks.get(network_id)
            if endpoint is None or network is None:
                raise _unknown(f"network {network_id}" if network is None else network.name)
            if not network.ingress:
                found += [address.partition("/")[0] for address in endpoint.addresses]
        return tuple(found)

    def _publish(self, *, look: bool = False) -> None:
        bridges = [] if self._fabric is None else self._fabric.bridges()
        self._guide.publish(self._places.values(), bridges, look=look)

    def _legs(self, path: str) -> Sequence[Leg]:
        return () if self._fabric is None else self._fabric.legs(path)

    def _note(self, done: Done | None) -> None:
        for each in () if done is None else done.failed:
            self._failed(each.error, stale=isinstance(each.operation, _TAKES_BACK))

    def _failed(self, error: SwarmError | OSError, *, stale: bool) -> None:
        self._left_over = self._left_over or stale
        known = error if isinstance(error, SwarmError) else None
        self.trouble = known or SwarmError(Code.INTERNAL, "a network fails", why=str(error))


def _concerns(operation: object, path: str) -> bool:
    match operation:
        case MakeLeg(key=key) | SetLeg(key=key):
            return key.sandbox == path
        case SetRoute(sandbox=sandbox):
            return sandbox == path
    return False


def _unknown(what: str) -> TemporaryError:
    return TemporaryError(
        Code.UNAVAILABLE, f"this node has not been told of {what} yet", why="a manager will do so"
    )
