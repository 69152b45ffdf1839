"""The longest time between two successes, and what did not succeed."""

import threading

from benchmarks.gaps import Loop


def test_the_longest_gap_is_between_two_successes() -> None:
    loop = Loop(lambda: None)
    loop.times = [1.0, 1.25, 3.0, 3.5]
    assert loop.longest == 1.75


def test_a_loop_counts_what_failed_and_goes_on() -> None:
    enough = threading.Event()
    turns = iter(range(1000))

    def once() -> None:
        turn = next(turns)
        if turn == 20:
            enough.set()
        if turn % 2:
            raise OSError("nobody answers")

    with Loop(once) as loop:
        assert enough.wait(30)
    assert len(loop.times) >= 11
    assert loop.failed >= 10
