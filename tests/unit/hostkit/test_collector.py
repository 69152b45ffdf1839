"""What Python's cyclic collector is told; in a process of its own, for it is told for good."""

import subprocess
import sys

REPLACED = """
import gc
from hostkit import collector

collector.tune()
kept = [[] for _ in range(100_000)]
gc.collect()
passes = gc.get_stats()[0]["collections"]
for at in range(100_000):
    kept[at] = []
young = len(gc.get_objects(generation=0))
print(gc.get_stats()[0]["collections"] - passes, young >= 100_000)
collector.step()
young = len(gc.get_objects(generation=0))
print(gc.get_stats()[0]["collections"] - passes, young < collector.YOUNG)
collector.step()
print(gc.get_stats()[0]["collections"] - passes)
"""

SCRIPT = """
import gc
from hostkit import collector

collector.tune()
full = gc.get_stats()[2]["collections"]
kept = [[n] for n in range(1_000_000)]  # more than Python's own thresholds let pass

class Knot:
    pass

for _ in range(100_000):
    knot = Knot()
    knot.self = knot
del knot
knots = sum(isinstance(each, Knot) for each in gc.get_objects())
print(gc.get_freeze_count() > 0, gc.get_stats()[2]["collections"] - full, knots < 50_000)
"""


SETTLED = """
import gc
from hostkit import collector

class Replaced:
    alive = 0
    def __init__(self):
        Replaced.alive += 1
    def __del__(self):
        Replaced.alive -= 1

collector.tune()
state = [Replaced() for _ in range(100_000)]
collector.settle()
print(len(gc.get_objects()) < 10_000)
state[:50_000] = ()
print(Replaced.alive)
"""


def said(script: str) -> list[str]:
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


def test_the_young_that_took_the_place_of_others_are_collected_too() -> None:
    # Python has not noticed them, nor does a second step find any.
    assert said(REPLACED) == ["0", "True", "1", "True", "1"]


def test_a_state_that_was_loaded_is_not_looked_at_and_dies_all_the_same() -> None:
    assert said(SETTLED) == ["True", "50000"]


def test_what_lives_long_is_left_alone_and_what_dies_young_is_collected() -> None:
    assert said(SCRIPT) == ["True", "0", "True"]
