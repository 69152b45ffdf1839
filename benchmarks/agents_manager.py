"""The one manager that benchmarks/agents.py measures: a real one, in a process of its own, with so
many workers in its first entry.

    python -m benchmarks.agents_manager DIRECTORY PORT WORKERS

Writes DIRECTORY/identities.json: the root's certificate, and key and certificate of the manager and
of each worker, and says `ready`. Then it answers each line on standard input with one of JSON: what
it has used.
"""

import asyncio
import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from api.certificates import key_digest_of
from api.identity import Credentials, make_csr, new_key
from api.new_ids import new_id
from api.v1 import host_pb2, types_pb2
from hostkit import collector
from hostkit.clock import monotonic, wall
from hostkit.loop_lag import LoopLag
from manager.ca.authority import NODE_EXPIRY, sign
from manager.ca.bootstrap import FirstObjects, new_node
from manager.control.images import no_registry
from manager.state.changes import Batch, batch, create
from swarmctl import safe
from swarmctl.daemon import SWITCH_INTERVAL
from swarmctl.founding import Founding, found_swarm
from swarmctl.managership import Managership
from swarmctl.membership import MembershipStore

HEARTBEAT = 5
"""Seconds, as in SwarmKit: a thousand agents that beat every 2 s would be most of the work."""


class _First(FirstObjects):
    """The first objects of a cluster that has workers from the beginning."""

    workers: Sequence[Credentials] = ()

    def batch(self) -> Batch:
        """The cluster, its manager and all workers."""
        role, active = types_pb2.NODE_ROLE_WORKER, types_pb2.NODE_AVAILABILITY_ACTIVE
        nodes = (
            new_node(
                each.identity.id, role, active, wall(), key=key_digest_of(each.certificate_pem)
            )
            for each in self.workers
        )
        return batch(create(self.cluster), create(self.node), *map(create, nodes))


async def main(directory: Path, port: int, workers: int) -> None:
    """Serves until standard input ends."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    collector.tune()
    lag = LoopLag(monotonic)
    address = f"127.0.0.1:{port}"
    request = host_pb2.InitSwarmRequest()
    request.spec.heartbeat_period.FromSeconds(HEARTBEAT)
    made = found_swarm(request, address=address, listen=address)
    certified = [_certified(made) for _ in range(workers)]
    first = _First(*made.first)
    first.workers = certified
    memberships = MembershipStore(directory)
    kept = safe.made(memberships, made.credentials, manager=True)
    manager = await Managership(memberships, no_registry).found(made.membership, kept, first)
    watching = asyncio.gather(lag.run(), collector.keep_pace())
    kept_by = [[each.key_pem.decode(), each.certificate_pem.decode()] for each in certified]
    own = [made.credentials.key_pem.decode(), made.credentials.certificate_pem.decode()]
    found = {"root": made.credentials.ca_pem.decode(), "nodes": [own, *kept_by]}
    (directory / "identities.json").write_text(json.dumps(found), encoding="utf-8")
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        usage = resource.getrusage(resource.RUSAGE_SELF)
        told = {"cpu_s": usage.ru_utime + usage.ru_stime, "lag_ms": 1000 * lag.worst()}
        print(json.dumps(told | {"rss_mib": _most_memory()}), flush=True)
    watching.cancel()
    await manager.stop()


def _most_memory() -> float:
    """The most that was resident, in MiB. That of getrusage is at first the parent's."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.removesuffix("kB")) / 1024
    raise LookupError("the kernel does not say how much memory was resident")


def _certified(made: Founding) -> Credentials:
    """The key and certificate of one more worker."""
    key = new_key()
    certificate = sign(
        made.first.cluster.root_ca,
        make_csr(key),
        node_id=new_id(),
        role="worker",
        cluster_id=made.membership.cluster_id,
        now=wall(),
        expiry=NODE_EXPIRY,
    )
    return Credentials(key, certificate, made.credentials.ca_pem)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
