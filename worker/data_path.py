"""What the kernel of this host does for networks, kept as the managers want it. Blocks.

One thread calls it, and no other: each step is milliseconds of netlink and nftables. It puts the
parts of `overlay_net` together and decides nothing of its own; names are `networks`' affair, which
live on the event loop. Nothing here ends with the daemon: `recall` finds it again.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from api.errors import Code, SwarmError
from api.v1 import dispatcher_pb2, specs_pb2
from hostkit.netlink import Netlink
from overlay_net.encrypt.encryption import Encryption
from overlay_net.fabric import observed
from overlay_net.fabric.fabric import OWN_NAMESPACE, Done
from overlay_net.fabric.networks import VXLAN_PORT
from overlay_net.fabric.sandboxes import Sandboxes
from overlay_net.fabric.wanted import Sandbox, Wanted
from overlay_net.nft import LibNft
from overlay_net.obstacles.findings import Need
from worker import host_ports, node_ports, placing
from worker.encrypted import Encrypted
from worker.executor import TemporaryError
from worker.guide import Guide
from worker.host_fabric import HostFabric
from worker.network_book import Book, Item, Key, News
from worker.node_networks import Means
from worker.outcome import Outcome
from worker.steps import hindrance, renewed
from worker.survey import Survey, needed
from worker.task_place import Place

log = logging.getLogger(__name__)

PREFIX = "swarm"


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
        self._host = host
        self._is_free = partial(host_ports.is_free, host)
        self._sandboxes = Sandboxes(f"{prefix}-task-")
        self._book = Book()
        self._encrypted = Encrypted(node_id, self._book, encryption)
        self._wanted = Wanted(node_id)
        self._fabric = HostFabric(nft, self._wanted, host=host, namespace=f"{prefix}-fabric")
        self._guide = Guide(node_id, nft, host, self._book, self._fabric.legs)
        self._places: dict[str, tuple[Place, str]] = {}
        self._outcome = Outcome()

    @property
    def trouble(self) -> SwarmError | None:
        """What could not be carried out in the last round; it is tried again with the next."""
        return self._outcome.trouble

    @property
    def stale(self) -> bool:
        """Whether something of it had to go, and may be there still: the node may yet send to who
        was there before.
        """
        return self._outcome.stale

    # --- what the managers tell -------------------------------------------------------------

    def recall(
        self,
        items: Iterable[Item],
        places: Iterable[Place],
        kept: Collection[str],
        own: Iterable[Item] = (),
    ) -> tuple[News, list[tuple[Place, str]]]:
        """Knows again what an earlier daemon knew: these items, and the tasks that live. `converge`
        with a look then: much may have changed meanwhile.

        Sandboxes of others are removed, but not those of `kept` tasks. `own`: what this node has by
        itself. Answers with all items, and with the tasks that have a sandbox, and its file.
        """
        self._encrypted.open()
        there = self._sandboxes.all()
        living = {place.task_id: place for place in places if place.task_id in there}
        for task_id in there.keys() - living.keys() - set(kept):
            self._sandboxes.remove(task_id)
        for task_id, place in living.items():
            self._put(self._with_ports(place), there[task_id])
        told, by_itself = self._book.restore(items), self._book.own(own)
        news = News((*told.updated, *by_itself.updated))
        self._take(news)
        return news, list(self._places.values())

    def follow(self, message: dispatcher_pb2.AssignmentsMessage) -> News:
        """Carries out what a message says of networks."""
        news = self._book.follow(message)
        if news:
            self._take(news)
            self.converge()
        return news

    def known(self) -> tuple[Item, ...]:
        """All that was told and not taken back, and what this node has by itself."""
        return self._book.known()

    def own(self, items: Iterable[Item], gone: Iterable[Key] = ()) -> News:
        """Carries out what changes of what this node has by itself."""
        news = self._book.own(items, gone)
        if news:
            self._take(news)
            self.converge()
        return news

    def addresses(self, task_id: str) -> dict[str, Sequence[str]]:
        """Those that a task which has joined has, with prefix lengths, by network."""
        place, _ = self._places.get(task_id, (None, ""))
        return {} if place is None else placing.by_network(self._book, place)

    def used_subnets(self) -> list[str]:
        """Those that this host reaches, but by default, and those of all networks that it knows."""
        with Netlink.inside(self._host) as host:
            routed = [each for each in observed.routed(host) if not each.endswith("/0")]
        return [*routed, *self._wanted.subnets()]

    def grant(self, asked: Iterable[specs_pb2.PortConfig]) -> list[specs_pb2.PortConfig]:
        """Ports for a container that is no task, which has yet to join with them; REFUSED if one is
        somebody's.
        """
        taken = self._guide.published(self._places.values())
        return node_ports.granted(asked, taken, self._is_free)

    def converge(self, *, look: bool = False) -> None:
        """Makes the host what it ought to be. `look`: believe the kernel, not the memory."""
        self._round(self._places.values(), look=look, whole=True)

    def heal(self) -> list[str]:
        """Looks at all of the kernel's state and puts right what is not as it was left; what that
        was, in words.
        """
        self.converge(look=True)
        return [*self._outcome.mended, *self._guide.take_mended()]

    def survey(self) -> Survey:
        """How the kernel's state differs from what it ought to be. Changes nothing."""
        look = self._fabric.look()
        here = list(self._places.values())
        differences = {self._host: self._guide.node_differences(here, self._fabric.bridges())}
        for place, path in here:
            differences[path] = self._guide.task_differences(place, path)
        return Survey(
            self._node_id,
            self._host,
            self._book.copy(),
            here,
            look,
            differences,
            dict(self._wanted.refused),
        )

    def devices(self) -> tuple[str, ...]:
        """The host's own, between which packets of networks are forwarded."""
        return self._fabric.devices()

    def need(self) -> Need:
        """What the networks of this node need of other programs on its host."""
        made = self._fabric
        places = (place for place, _ in self._places.values())
        return needed(self._book, made.devices(), made.port, places, is_built=made.is_built)

    def _round(self, places: Iterable[tuple[Place, str]], *, look: bool, whole: bool) -> None:
        """The same, but of tasks only for these. `whole`: they are all."""
        outcome = self._outcome
        with outcome.a_round(whole=whole):
            with outcome.part():
                if (done := self._build(look=look)) is not None:
                    outcome.note(done, look=look)
            with outcome.part():
                self._publish(look=look)
            for place, path in places:
                with outcome.part():
                    self._guide.lead(place, path, look=look)

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

        One that has a stack already joins and leaves networks with it while it runs, and keeps what
        it had if that fails. SwarmError if a network cannot be built on this host, TemporaryError
        if it is not there yet.
        """
        addresses = placing.addresses(self._book, place)
        node_ports.check_sctp([*place.ports, *self._guide.published_by(place.task_id)])
        before = self._places.get(place.task_id)
        if before is None:
            node_ports.refuse_listened(place.ports, self._is_free)
        place = self._with_ports(place)
        placing.refuse_taken(place, (other for other, _ in self._places.values()))
        new = not self._sandboxes.has(place.task_id)
        path = self._sandboxes.make(place.task_id)
        self._put(place, path)
        try:
            self._stand(place, path)
            self._publish()
            self._guide.lead(place, path, new=new)
        except OSError as error:
            self._take_back(place, before)
            what = f"the networks of task {place.task_id} cannot be built yet"
            raise TemporaryError(Code.UNAVAILABLE, what, why=str(error)) from error
        except BaseException:
            self._take_back(place, before)
            raise
        return Made(path, addresses)

    def ports(self, task_id: str) -> tuple[specs_pb2.PortConfig, ...]:
        """Those of the node that the task has."""
        place, _ = self._places.get(task_id, (None, ""))
        return () if place is None else place.ports

    def leave(self, task_id: str) -> None:
        """The task has ended: its network stack goes. No error if it has none."""
        place, path = self._places.pop(task_id, (None, ""))
        if place is not None:
            self._wanted.drop_sandbox(task_id)
            self._guide.forget(place, path)
            self._fabric.forget(path)
        self._sandboxes.remove(task_id)
        if place is not None and place.ports:
            self._round((), look=False, whole=False)

    def clear(self) -> None:
        """Nothing is left of any network, as when the node leaves its swarm; the last call."""
        for task_id in [*self._places, *self._sandboxes.all()]:
            self.leave(task_id)
        self._guide.remove(self._fabric.bridges())
        self._fabric.remove()
        self._encrypted.remove()

    def forget_keys(self) -> None:
        """The node is in no swarm any more, whose tunnels are gone: so is what encrypted them."""
        self._encrypted.remove()

    def close(self) -> None:
        """Lets go of everything, and changes nothing."""
        self._fabric.close()
        self._encrypted.close()

    # --- within -----------------------------------------------------------------------------

    def _take_back(self, place: Place, before: tuple[Place, str] | None) -> None:
        """A task has not got its place: it has the one it had `before`, if any."""
        if before is None:
            self.leave(place.task_id)
        else:
            self._put(*before)
            self.converge()

    def _put(self, place: Place, path: str) -> None:
        self._places[place.task_id] = (place, path)
        outward = placing.is_tied(place)
        sandbox = Sandbox(path, place.networks, outward, dict(place.attachments))
        self._wanted.put_sandbox(place.task_id, sandbox)

    def _with_ports(self, place: Place) -> Place:
        """The place with a number for each of its ports; SwarmError if none is left."""
        others = (each.ports for each, _ in self._places.values() if each.task_id != place.task_id)
        taken = (port for some in (self._guide.everywhere(), *others) for port in some)
        return node_ports.filled(place, taken, self._is_free)

    def _take(self, news: News) -> None:
        self._fabric.hear(news)
        self._guide.hear(news)

    def _build(self, *, look: bool = False) -> Done | None:
        """Links and tunnels; None while this node knows neither its own address in a swarm, nor of
        networks that are its alone.
        """
        me = self._book.peers.get(self._node_id)
        in_touch = not self._fabric.is_built or self._fabric.address
        if me is None and in_touch and not self._book.has_own:
            return None
        # A host that publishes nothing is spared a route that may lie over one of its own.
        stands = self._guide.publishes(place for place, _ in self._places.values())
        if self._wanted.stands_in_ingress and not stands and self._fabric.is_built:
            # Before the way to tasks goes, lest a client wait for what cannot come any more.
            self._publish()
        self._wanted.stands_in_ingress = stands
        ports = (each.data_path_port for each in self._book.networks.values())
        port = next(filter(None, ports), VXLAN_PORT)
        self._fabric.stand_on(self._fabric.address if me is None else me.data_path_address, port)
        if me is not None and (trouble := self._encrypted.prepare(me, port, look=look)):
            self._outcome.failed(trouble, stale=False)
        self._wanted.guarded = self._encrypted.guarded
        done = self._fabric.converge(look=look)
        for path in () if done is None else renewed(done.operations):
            self._guide.renew(path)
        if me is not None and done is not None and not done.failed:
            self._encrypted.settle()  # else a tunnel may be left that needs it
        return done

    def _stand(self, place: Place, path: str) -> None:
        """The task's legs; raises what it cannot be without."""
        done = self._build()
        if done is None:
            raise placing.untold("its own address")
        self._encrypted.check(filter(None, map(self._book.networks.get, place.networks)))
        for network_id in (*place.networks, *placing.way_out(self._book, place)):
            if refused := self._wanted.refused.get(network_id):
                raise refused
        failed = ((each.operation, each.error) for each in done.failed)
        if error := hindrance(failed, path):
            raise TemporaryError(error.code, error.what, why=error.why, remedy=error.remedy)
        self._outcome.note(done, look=False)

    def _publish(self, *, look: bool = False) -> None:
        self._guide.publish(self._places.values(), self._fabric.bridges(), look=look)
