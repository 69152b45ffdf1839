"""Makes sure that layers are on disk, unpacked: each once, however many images wait for it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from api.errors import SwarmError
from api.v1 import host_pb2
from runtime.image.content import Content
from runtime.image.flights import Flights
from runtime.image.unpacker import Part, Unpacker

Progress = Callable[[host_pb2.ImageProgress], None]
Obtain = Callable[[Progress], Awaitable[Part]]
"""Gets the packed layer, and tells how far it is."""


class Layers:
    """The unpacked layers of one store."""

    def __init__(self, content: Content, unpacker: Unpacker) -> None:
        self._content = content
        self._unpacker = unpacker
        self._flights: Flights[str, None, host_pb2.ImageProgress] = Flights()

    async def ensure(self, diff_id: str, item: str, obtain: Obtain, progress: Progress) -> None:
        """Returns when the layer is there. `item` is its digest in messages of progress.

        Waits for whoever is at it already; should they fail, tries by itself: they may come from
        another registry, or without the right credentials. The caller has pinned `diff_id`.
        """
        while not self._content.has_layer(diff_id):
            own = not self._flights.under_way(diff_id)
            try:
                await self._flights.join(
                    diff_id, lambda publish: self._make(diff_id, item, obtain, publish), progress
                )
            except SwarmError:
                if own:
                    raise
        size = self._content.layer_size(diff_id)
        progress(host_pb2.ImageProgress(item=item, status="done", current=size, total=size))

    async def _make(self, diff_id: str, item: str, obtain: Obtain, publish: Progress) -> None:
        part = await obtain(publish)
        publish(host_pb2.ImageProgress(item=item, status="unpacking", total=part.size))
        with self._content.scratch("layer") as scratch:
            tree: Path = await asyncio.to_thread(self._content.prepare_layer, scratch)
            try:
                facts = await self._unpacker.unpack(part, diff_id, tree)
            except SwarmError:
                await self._drop_packed(diff_id)
                raise
            await asyncio.to_thread(self._content.commit_layer, scratch, diff_id, facts)
        await self._drop_packed(diff_id)

    async def _drop_packed(self, diff_id: str) -> None:
        """Deletes what was downloaded: it is unpacked now, or good for nothing."""
        path = self._content.ingest(diff_id)
        await asyncio.to_thread(path.unlink, missing_ok=True)
