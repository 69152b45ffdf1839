"""The DNS server of one container, in a process of its own, as the daemon runs it.

python -m benchmarks.dns_server NETNS
"""

import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from api.v1 import network_pb2, specs_pb2
from hostkit.clock import monotonic
from overlay_net.dns.directory import Directory
from overlay_net.dns.server import DnsServer, Sandbox
from tests.support.nft_command import NftCommand

SERVICES = 100
TASKS = 3
NETWORK = "bench"
READY = "ready\n"


def fill(directory: Directory) -> None:
    """A network with some services of some tasks each, s0 and up."""
    pool = specs_pb2.IpamConfig(subnet="10.0.0.0/16")
    directory.put_network(network_pb2.NodeNetwork(id=NETWORK, name=NETWORK, pools=[pool]))
    for number in range(SERVICES):
        name = f"s{number}"
        directory.put_service(
            network_pb2.NetworkService(
                network_id=NETWORK, service_id=name, name=name, virtual_ips=[f"10.0.0.{number + 2}"]
            )
        )
        for slot in range(TASKS):
            task = f"{name}.{slot}"
            directory.put_endpoint(
                network_pb2.NetworkEndpoint(
                    network_id=NETWORK,
                    task_id=task,
                    name=task,
                    service_id=name,
                    addresses=[f"10.0.{slot + 1}.{number + 2}/16"],
                    serving=True,
                )
            )


async def serve(inside: Path) -> None:
    """Serves until SIGTERM; says `ready` when it does."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    server = DnsServer(NftCommand(), monotonic)
    fill(server.directory)
    await server.attach(Sandbox("container", inside, (NETWORK,)))
    sys.stdout.write(READY)
    sys.stdout.flush()
    await stopping.wait()
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1])))
