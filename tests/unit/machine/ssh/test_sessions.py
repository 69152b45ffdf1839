import asyncio

from hypothesis import given
from hypothesis import strategies as st

from machine.ssh.sessions import Sessions


@given(most=st.integers(1, 8), allowed=st.integers(0, 8), calls=st.integers(1, 20), data=st.data())
def test_all_run_as_long_as_the_host_allows_one(
    most: int, allowed: int, calls: int, data: st.DataObject
) -> None:
    """A host that allows so many at a time, and answers at any moment."""
    sessions, open_now, ran = Sessions(most), set[int](), 0

    async def turns() -> None:
        for _ in range(data.draw(st.integers(0, 3))):
            await asyncio.sleep(0)

    async def call(number: int) -> bool:
        nonlocal ran
        while True:
            ticket = await sessions.enter()
            try:
                is_refused = len(open_now) >= allowed
                if not is_refused:
                    open_now.add(number)
                await turns()
                if not is_refused:
                    open_now.remove(number)
                    ran += 1
                    return True
                if not sessions.refused(ticket):
                    return False
            finally:
                sessions.leave()

    async def whole() -> list[bool]:
        return await asyncio.gather(*map(call, range(calls)))

    answers = asyncio.run(whole())
    assert answers == [allowed > 0] * calls
    assert ran == (calls if allowed else 0)
