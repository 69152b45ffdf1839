"""Names before all else: what a daemon that begins anew tells tasks while the rest of it is loaded.

Names ended with the daemon before, and most of a start is the loading of the program. So they are
answered from what the disk tells, as that daemon knew it; `worker.networks` goes on from there. It
imports little, decides nothing, and changes nothing but who answers.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from api.errors import SwarmError
from api.v1 import objects_pb2
from hostkit.clock import Clock
from overlay_net.fabric.sandboxes import Sandboxes
from overlay_net.nft import LibNft
from worker.names import Names
from worker.network_book import Book, Item
from worker.standalone.clothes import dressed
from worker.standalone.local_networks import LocalNetworks
from worker.standalone.storage import CONTAINERS_FILE, LocalStorage
from worker.storage import AGENT_FILE, Storage
from worker.task_place import place_of

log = logging.getLogger(__name__)


@dataclass
class _Remembered:
    """What an earlier daemon knew."""

    items: list[Item] = field(default_factory=list)
    own: list[Item] = field(default_factory=list)
    tasks: list[objects_pb2.Task] = field(default_factory=list)


def open_names(monotonic: Clock) -> Names | None:
    """The names of this host, of which none is known yet; None if it cannot build networks."""
    try:
        return Names(LibNft(), monotonic)
    except SwarmError as error:
        log.warning("tasks here have no networks but the host's: %s", error)
        return None


async def answer_first(names: Names, state_dir: Path, sandboxes: Sandboxes | None = None) -> None:
    """Serves who has a sandbox, as the files of a state directory tell.

    A file that is missing tells nothing. What is wrong with one is said when it is needed.
    """
    there = (sandboxes or Sandboxes()).all()
    if not there:
        return
    known = _Remembered()
    for read, name in ((_from_agent, AGENT_FILE), (_from_containers, CONTAINERS_FILE)):
        try:
            if (path := state_dir / name).exists():
                await read(path, known)
        except Exception as error:  # the boundary of a file: the daemon begins all the same
            log.debug("names of %s are not answered at once", name, exc_info=error)
    book = Book()
    told = (*book.restore(known.items).updated, *book.own(known.own).updated)
    places = filter(None, map(place_of, known.tasks))
    living = [(place, there[place.task_id]) for place in places if place.task_id in there]
    await names.know(told, living)


async def _from_agent(path: Path, known: _Remembered) -> None:
    storage = await Storage.open(path)
    try:
        saved = await storage.load()
    finally:
        await storage.close()
    known.items.extend(saved.networks)
    known.tasks.extend(saved.tasks.values())


async def _from_containers(path: Path, known: _Remembered) -> None:
    storage = LocalStorage(path)
    try:
        saved = await storage.load()
    finally:
        await storage.close()
    known.own.extend(LocalNetworks(saved.networks, saved.endpoints).items())
    known.tasks.extend(map(dressed, saved.containers))
