"""cli_start: `swarmctl service ls`, from its start to its end.

Beside it, taken in turns: a Python that does nothing, and one that imports gRPC and ends.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figure import Measured
from benchmarks.swarm import Swarm

RUNS = 15


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """The figure, in a swarm of one service."""
    service = await swarm.create(0)
    environment = os.environ | {"SWARM_HOST": f"unix://{swarm.manager.paths.swarm_socket}"}
    command = [str(Path(sys.executable).parent / "swarmctl"), "service", "ls"]
    bare = [sys.executable, "-c", "pass"]
    grpc = [sys.executable, "-c", "import grpc.aio"]
    rounds = [[_seconds(argv, environment) for argv in (command, bare, grpc)] for _ in range(RUNS)]
    await swarm.until_gone(service.id)
    runs, bare_runs, grpc_runs = zip(*rounds, strict=True)
    beside = {"python_s": min(bare_runs), "import_grpc_s": min(grpc_runs)}
    return {"cli_start": Measured(runs, beside)}


def _seconds(argv: list[str], environment: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=30)
    return time.perf_counter() - begun
