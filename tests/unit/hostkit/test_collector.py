"""What Python's cyclic collector is told; in a process of its own, for it is told for good."""

import subprocess
import sys

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


def test_what_lives_long_is_left_alone_and_what_dies_young_is_collected() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["True", "0", "True"]
