"""A layer that several images wait for."""

import asyncio
import io
import tarfile
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.v1 import host_pb2
from runtime.image import digest as digests
from runtime.image.content import Content
from runtime.image.layers import Layers, Progress
from runtime.image.unpacker import Limits, Part, Unpacker

pytestmark = pytest.mark.root


def silent(_: host_pb2.ImageProgress) -> None:
    pass


def test_who_waits_for_another_tries_by_himself_when_that_fails(tmp_path: Path) -> None:
    body = io.BytesIO()
    tarfile.TarFile(fileobj=body, mode="w").close()
    blob = tmp_path / "blob"
    blob.write_bytes(body.getvalue())
    diff_id = digests.of(body.getvalue())
    content = Content(tmp_path / "store")

    async def scenario() -> None:
        layers = Layers(content, Unpacker(Limits()))
        begun, go = asyncio.Event(), asyncio.Event()

        async def denied(_: Progress) -> Part:
            begun.set()
            await go.wait()
            raise SwarmError(Code.DENIED, "no access")

        async def granted(_: Progress) -> Part:
            return Part(blob, 0, len(body.getvalue()))

        first = asyncio.create_task(layers.ensure(diff_id, "one", denied, silent))
        await begun.wait()
        second = asyncio.create_task(layers.ensure(diff_id, "two", granted, silent))
        await asyncio.sleep(0)
        go.set()
        with pytest.raises(SwarmError, match="no access"):
            await first
        await second
        assert content.has_layer(diff_id)

    asyncio.run(scenario())
