"""The images of one host: pulled, loaded, listed, removed. The only door to everything beside it.

Crash-safe: an image appears with the catalogue's rename, after all its layers are on disk; what a
crash leaves half done is swept by `collect_garbage`. Runs no containers and mounts nothing.
"""

import asyncio
import contextlib
import errno
import functools
import logging
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from api.v1 import host_pb2, types_pb2
from hostkit.clock import Clock
from hostkit.together import together
from runtime.image import archive, asking, platforms
from runtime.image.auth import Credentials
from runtime.image.catalogue import Catalogue, Record
from runtime.image.content import Content, counted
from runtime.image.endpoint import RegistryOptions
from runtime.image.flights import Flights
from runtime.image.layers import Layers, Obtain, Progress
from runtime.image.manifest import Config, parse_config
from runtime.image.platforms import Platform
from runtime.image.pull import downloading, resolve
from runtime.image.reference import Reference, parse
from runtime.image.spool import spool
from runtime.image.unpacker import Limits, Part, Unpacker

_LOG = logging.getLogger(__name__)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_LIMITS = Limits()

InUse = Callable[[], Awaitable[Collection[str]]]
"""Tells the ids of the images that containers were made of."""


@dataclass(frozen=True)
class StoredImage:
    """An image on this host.

    `references` and `digests` are the names that people see: `nginx:1`, `nginx@sha256:...`.
    `layers` are directories of unpacked files for overlayfs, the lowest first; they are shared and
    never to be written. `config` is the OCI image configuration, with `config["config"]` what a
    container starts from. `created_at` is in seconds since the epoch.
    """

    id: str
    references: tuple[str, ...]
    digests: tuple[str, ...]
    layers: tuple[Path, ...]
    config: Mapping[str, Any]
    size_bytes: int
    created_at: float


@dataclass(frozen=True)
class _Source:
    """One layer to come: its diff id, what it is called in messages of progress, how to get it."""

    diff_id: str
    item: str
    obtain: Obtain


async def _none() -> Collection[str]:
    return ()


def _silent(_: host_pb2.ImageProgress) -> None:
    pass


class ImageStore:
    """All images below the directory `root`. One per daemon, used from one event loop.

    `clock` is a wall clock. Raises SwarmError INTERNAL if the store's catalogue is unreadable.
    """

    def __init__(
        self, root: Path, *, options: RegistryOptions, clock: Clock, limits: Limits = _NO_LIMITS
    ) -> None:
        self._options = options
        self._clock = clock
        self._limits = limits
        self._content = Content(root)
        self._layers = Layers(self._content, Unpacker(limits))
        self._catalogue = Catalogue()
        if self._content.catalogue.exists():
            self._catalogue = Catalogue.from_json(self._content.catalogue.read_bytes())
        self._changing = asyncio.Lock()
        self._emptying = asyncio.Lock()
        self._holders: Counter[str] = Counter()
        self._pulls: Flights[
            tuple[str, Platform, Credentials | None], StoredImage, host_pb2.ImageProgress
        ] = Flights()
        self._config = functools.lru_cache(maxsize=256)(self._read_config)

    async def pull(
        self,
        reference: str,
        *,
        platform: types_pb2.Platform | None = None,
        progress: Progress = _silent,
        credentials: Credentials | None = None,
    ) -> StoredImage:
        """Pulls an image for `platform` (unset: this host's). By digest, what is here is enough.

        A reference with tag and digest is pulled by its digest and known by that, as in Docker.
        The last message of progress has the status `done` and the manifest's digest.
        """
        name = parse(reference)
        want = platforms.wanted(platform)
        return await self._pulls.join(
            (str(name), want, credentials),
            lambda publish: self._pull(name, want, credentials, publish),
            progress,
        )

    async def check_login(self, registry: str, user: Credentials) -> None:
        """See runtime.image.login.check_login."""
        await asking.check_login(registry, user, self._options, self._clock)

    async def load(self, chunks: AsyncIterator[bytes]) -> list[str]:
        """Loads a tar of images (OCI layout or docker-archive; plain, gzip or zstd).

        Returns the names that people see; the id of an image that the archive gives no name.
        """
        loaded = []
        with _disk("the archive"):
            try:
                with self._content.scratch("archive") as raw, self._content.scratch("tar") as plain:
                    path = await spool(chunks, raw, plain, self._limits.max_bytes)
                    for found in await asyncio.to_thread(archive.read, path, platforms.host()):
                        await self._load(found)
                        loaded += [name.familiar() for name in found.names] or [found.id]
            finally:
                await self._tidy()
        return loaded

    def get(self, reference_or_id: str) -> StoredImage:
        """An image by reference, digest reference, id, or the beginning of an id."""
        return self._stored(self._catalogue.find(reference_or_id))

    @contextlib.asynccontextmanager
    async def holding(self, *ids: str) -> AsyncIterator[None]:
        """Has these images count as in use while a container is made of them.

        SwarmError NOT_FOUND if one has been removed.
        """
        with contextlib.ExitStack() as stack:
            async with self._changing:  # after a removal that is under way
                for each in ids:
                    self._catalogue.find(each)
                stack.enter_context(counted(self._holders, ids))
            yield

    async def remove(
        self, reference_or_id: str, *, force: bool = False, in_use: InUse = _none
    ) -> tuple[list[str], list[str]]:
        """Removes a name; with the last name, or by id, the image. By Docker's rules.

        Returns the names that went, and the digests that went (the image's id, then its layers that
        no other image needs). SwarmError REFUSED without `force` if its id is `in_use` or held, or
        if it has several names. Forced, an image in use loses its names and stays under its id.
        """
        async with self._changing:
            held = set(self._holders)  # first: who ceases to hold one, has a container by then
            used = held.union(await in_use())
            changed = self._catalogue.copy()
            removal = changed.remove(reference_or_id, force=force, in_use=used)
            await self._store(changed)
            deleted = self._release(removal.deleted) if removal.deleted else ()
        await self._tidy()
        return removal.untagged, list(deleted)

    async def collect_garbage(self) -> int:
        """Frees what no image needs and no work under way uses, as after a crash; the bytes freed.

        Images without a name are no garbage: they are removed by their id.
        """
        with _disk("unused layers"):
            async with self._changing:
                self._content.sweep(set(self._catalogue.held()))
            async with self._emptying:
                return await asyncio.to_thread(self._content.empty_trash)

    def list(self) -> list[StoredImage]:
        """All images, the newest first; a damaged one is left out, and `get` tells why."""
        newest = sorted(
            self._catalogue.images.values(), key=lambda image: (-image.created, image.id)
        )
        images = []
        for record in newest:
            try:
                images.append(self._stored(record))
            except SwarmError as error:  # the others are still worth a list
                _LOG.error("%s", error)
        return images

    # Pulling and loading

    async def _pull(
        self, name: Reference, want: Platform, credentials: Credentials | None, publish: Progress
    ) -> StoredImage:
        here = self._here(name, want)
        if here is not None:
            publish(host_pb2.ImageProgress(status="done", digest=name.digest))
            return here
        with _disk(f"image {name.familiar()}"):
            try:
                registry = await asking.registry(name, self._options, credentials, self._clock)
                async with registry:
                    found = await resolve(registry, name, want)
                    sources = [
                        _Source(
                            diff_id,
                            layer.digest,
                            downloading(registry, layer, self._content.ingest(diff_id)),
                        )
                        for diff_id, layer in zip(
                            found.config.diff_ids, found.manifest.layers, strict=True
                        )
                    ]
                    by_digest = Reference(name.domain, name.path, "", found.digest)
                    names = [by_digest] if name.digest else [name, by_digest]
                    image_id = found.manifest.config.digest
                    image = await self._keep(
                        image_id, found.config, found.config_body, sources, names, publish
                    )
            finally:
                await self._tidy()
        publish(host_pb2.ImageProgress(status="done", digest=found.digest))
        return image

    def _here(self, name: Reference, want: Platform) -> StoredImage | None:
        """The image, if it is asked for by digest, for the right platform, and here as a whole."""
        if not name.digest:
            return None
        try:
            record = self._catalogue.find(str(name))
            offered = self._config(record.id).platform
        except SwarmError:
            return None
        if not all(self._content.has_layer(layer) for layer in record.layers):
            return None
        return self._stored(record) if offered is None or platforms.runs_on(offered, want) else None

    async def _load(self, found: archive.Found) -> None:
        sources = [
            _Source(diff_id, diff_id, _present(part))
            for diff_id, part in zip(found.config.diff_ids, found.layers, strict=True)
        ]
        await self._keep(found.id, found.config, found.config_body, sources, found.names, _silent)

    async def _keep(
        self,
        image_id: str,
        config: Config,
        config_body: bytes,
        sources: Sequence[_Source],
        names: Sequence[Reference],
        publish: Progress,
    ) -> StoredImage:
        """Gets all layers, and then lists the image."""
        with self._content.pinned(image_id, *config.diff_ids):
            await self._gather(sources, publish)
            await asyncio.to_thread(self._content.write_blob, image_id, config_body)
            size = sum(self._content.layer_size(diff_id) for diff_id in config.diff_ids)
            created = self._clock() if config.created is None else config.created
            record = Record(image_id, config.diff_ids, size, created)
            async with self._changing:
                changed = self._catalogue.copy()
                changed.add(record, names)
                await self._store(changed)
        return self._stored(record)

    async def _gather(self, sources: Sequence[_Source], publish: Progress) -> None:
        await together(
            *(
                self._layers.ensure(source.diff_id, source.item, source.obtain, publish)
                for source in sources
            )
        )

    # What is stored

    async def _store(self, changed: Catalogue) -> None:
        """Stores the catalogue. Whoever is cancelled meanwhile keeps the lock until it is done."""
        writing = asyncio.create_task(self._write(changed))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])
            raise

    async def _write(self, changed: Catalogue) -> None:
        with _disk("the catalogue of images"):
            await asyncio.to_thread(self._content.write_catalogue, changed.to_json())
        self._catalogue = changed

    def _release(self, record: Record) -> Sequence[str]:
        """Discards what only this image needed."""
        held = set(self._catalogue.held())
        self._content.discard_blob(record.id)
        layers = [layer for layer in dict.fromkeys(record.layers) if layer not in held]
        return [record.id, *(layer for layer in layers if self._content.discard_layer(layer))]

    async def _tidy(self) -> None:
        """Deletes the trash. What cannot be deleted now is the next garbage collection's."""
        async with self._emptying:
            try:
                await asyncio.to_thread(self._content.empty_trash)
            except OSError as error:
                _LOG.warning("the trash of the image store could not be emptied: %s", error)

    def _stored(self, record: Record) -> StoredImage:
        return StoredImage(
            id=record.id,
            references=tuple(name.familiar() for name in self._catalogue.names(record.id)),
            digests=tuple(name.familiar() for name in self._catalogue.digest_names(record.id)),
            layers=tuple(self._content.tree(diff_id) for diff_id in record.layers),
            config=self._config(record.id).document,
            size_bytes=record.size,
            created_at=record.created,
        )

    def _read_config(self, image_id: str) -> Config:
        return parse_config(self._content.read_blob(image_id), None, f"image {image_id}")


def _present(part: Part) -> Obtain:
    async def obtain(_: Progress) -> Part:
        return part

    return obtain


@contextlib.contextmanager
def _disk(what: str) -> Iterator[None]:
    """Names failures of the store's own disk."""
    try:
        yield
    except OSError as error:
        full = error.errno in _FULL
        raise SwarmError(
            Code.EXHAUSTED if full else Code.INTERNAL,
            f"{what} could not be stored",
            why=str(error),
            remedy="make room on the disk of the image store" if full else "",
        ) from error
