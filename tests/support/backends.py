"""The backends of a network, gathered from its endpoints."""

from collections.abc import Collection, Iterable

from api.v1 import network_pb2
from overlay_net.backends import Gathering


def gathered(
    endpoints: Iterable[network_pb2.NetworkEndpoint], lost: Collection[str] = ()
) -> Gathering:
    """`lost`: nodes that are down. An endpoint without a task gets one of its own."""
    made = Gathering()
    for number, told in enumerate(endpoints):
        if told.node_id not in lost:
            endpoint = network_pb2.NetworkEndpoint()
            endpoint.CopyFrom(told)
            endpoint.task_id = told.task_id or str(number)
            made.put(endpoint)
    return made
