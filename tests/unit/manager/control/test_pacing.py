"""A long list leaves everybody else his turn."""

import asyncio

from manager.control.pacing import paced

PIECES = [[1, 2], [], [], [3]]


def test_everything_else_goes_on_between_two_pieces() -> None:
    async def scenario() -> None:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        running = asyncio.create_task(others())
        seen = [(sum(piece), turns) async for piece in paced(iter(PIECES), list)]
        running.cancel()
        assert seen == [(3, 0), (3, 3)]
        assert turns == len(PIECES)

    asyncio.run(scenario())
