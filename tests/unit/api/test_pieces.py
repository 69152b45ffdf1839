"""An answer in pieces."""

import asyncio
from collections.abc import AsyncIterator

from api.pieces import gathered
from api.v1 import control_pb2

Answer = control_pb2.ListServicesResponse


def test_pieces_add_up() -> None:
    pieces = [Answer(), Answer(), Answer()]
    pieces[0].services.add(id="a")
    pieces[0].counts["a"].running = 1
    pieces[2].services.add(id="b")
    pieces[2].counts["b"].running = 2

    async def sent() -> AsyncIterator[Answer]:
        for piece in pieces:
            yield piece

    whole = asyncio.run(gathered(sent(), into=Answer()))
    assert [each.id for each in whole.services] == ["a", "b"]
    assert {name: each.running for name, each in whole.counts.items()} == {"a": 1, "b": 2}
