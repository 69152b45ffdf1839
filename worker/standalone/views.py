"""A container as it is shown: what was asked for, with what is observed of it. Pure."""

from collections.abc import Mapping, Sequence

from api.times import timestamp
from api.v1 import containers_pb2
from runtime.driver import ContainerState

Container = containers_pb2.Container


def view(
    container: Container, state: ContainerState | None, addresses: Mapping[str, Sequence[str]]
) -> Container:
    """`state`: None if it was not started yet; `addresses`: its own, by network."""
    shown = Container()
    shown.CopyFrom(container)
    if state is None or state.phase == "created":
        return shown
    shown.state = Container.STATE_RUNNING
    shown.started_at.CopyFrom(timestamp(state.started_at))
    if state.exit is not None:
        shown.state = Container.STATE_EXITED
        shown.finished_at.CopyFrom(timestamp(state.exit.at))
        shown.exit_code = state.exit.code
        shown.oom_killed = state.exit.oom_killed
        shown.error = state.exit.message
        return shown
    shown.pid = state.pid
    for endpoint in shown.networks:
        endpoint.addresses.extend(addresses.get(endpoint.network_id, ()))
    return shown
