"""What Python's cyclic collector is told; in a process of its own, for it is told for good."""

import subprocess
import sys

REPLACED = """
import gc
from hostkit import collector

worked = [0.0]
collector.tune()
kept = [[] for _ in range(100_000)]
gc.collect()
pace = collector.Pace(lambda: worked[0])
passes = gc.get_stats()[0]["collections"]
for at in range(100_000):
    kept[at] = []

def step():
    pace.step()
    young = len(gc.get_objects(generation=0))
    print(gc.get_stats()[0]["collections"] - passes, young < collector.YOUNG)

step()
worked[0] += collector.WORK
step()
step()
"""

TUPLES = """
import sys, threading
from hostkit import collector

collector.tune()
sys.setswitchinterval(1e-6)
failed = []

def make():
    try:
        for _ in range(20_000):
            tuple(each for each in range(40))
    except SystemError as error:
        failed.append(error)

worked = [0.0]
pace = collector.Pace(lambda: worked[0])
threads = [threading.Thread(target=make) for _ in range(2)]
for each in threads:
    each.start()
while any(each.is_alive() for each in threads):
    worked[0] += collector.WORK
    pace.step()
print(len(failed))
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


def test_the_young_that_took_the_place_of_others_are_collected_after_work() -> None:
    # Python has not noticed them; after the step there is no more to do until some work is done.
    assert said(REPLACED) == ["0", "False", "1", "True", "1", "True"]


def test_tuples_that_other_threads_make_are_left_alone() -> None:
    assert said(TUPLES) == ["0"]


def test_a_state_that_was_loaded_is_not_looked_at_and_dies_all_the_same() -> None:
    assert said(SETTLED) == ["True", "50000"]


def test_what_lives_long_is_left_alone_and_what_dies_young_is_collected() -> None:
    assert said(SCRIPT) == ["True", "0", "True"]
