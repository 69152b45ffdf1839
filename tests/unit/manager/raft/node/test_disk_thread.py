"""The thread in which the disk works."""

import asyncio
import threading
from functools import partial

import pytest

from manager.raft.node.disk_thread import DiskThread


def test_work_is_done_in_order_and_off_the_loop() -> None:
    async def scenario() -> None:
        disk, done = DiskThread(), list[int]()
        disk.start()

        def work(number: int) -> int:
            done.append(number)
            return threading.get_ident()

        threads = await asyncio.gather(*(disk.run(partial(work, each)) for each in range(50)))
        assert done == list(range(50))
        assert len({*threads, threading.get_ident()}) == 2
        disk.close()

    asyncio.run(scenario())


def test_what_work_raises_reaches_who_awaits_it_and_the_thread_goes_on() -> None:
    async def scenario() -> None:
        disk = DiskThread()
        disk.start()

        def fail() -> None:
            raise OSError(5, "Input/output error")

        with pytest.raises(OSError, match="Input/output"):
            await disk.run(fail)
        assert await disk.run(lambda: 7) == 7
        disk.close()

    asyncio.run(scenario())


def test_who_gives_up_waiting_does_not_stop_the_work() -> None:
    async def scenario() -> None:
        disk, may_go_on, done = DiskThread(), threading.Event(), list[str]()
        disk.start()

        def work() -> None:
            assert may_go_on.wait(60)
            done.append("done")

        waiting = disk.run(work)
        waiting.cancel()
        may_go_on.set()
        disk.close()
        await asyncio.sleep(0)  # the thread's word has arrived
        assert (done, waiting.cancelled()) == (["done"], True)

    asyncio.run(scenario())


def test_nothing_is_taken_before_the_start_or_after_the_end() -> None:
    async def scenario() -> None:
        disk = DiskThread()
        disk.close()
        with pytest.raises(RuntimeError, match="does not run"):
            disk.run(lambda: None)
        disk.start()
        disk.close()
        disk.close()
        with pytest.raises(RuntimeError, match="does not run"):
            disk.run(lambda: None)

    asyncio.run(scenario())
