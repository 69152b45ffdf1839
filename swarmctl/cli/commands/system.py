"""`swarmctl system`: what this host and its swarm are."""

import platform
from collections.abc import Mapping
from importlib.metadata import version as installed_version

import click

from api.times import seconds_of
from api.v1 import host_pb2, types_pb2
from swarmctl.cli.client import Client
from swarmctl.cli.commands.events import events
from swarmctl.cli.documents import document
from swarmctl.cli.grammar import Noun
from swarmctl.cli.options import inspect_format
from swarmctl.cli.render import check_inspect, inspect, pretty
from swarmctl.cli.units import binary_size, rfc3339

_STATES = {
    host_pb2.SwarmInfo.STATE_INACTIVE: "inactive",
    host_pb2.SwarmInfo.STATE_ACTIVE: "active",
    host_pb2.SwarmInfo.STATE_PENDING: "pending",
    host_pb2.SwarmInfo.STATE_LOCKED: "locked",
}


@click.group(
    cls=Noun,
    lazy={
        "install": (
            "swarmctl.cli.commands.system_install:install",
            "Make this host a node, or take that back",
        )
    },
)
def system() -> None:
    """Show what this host and swarm are."""


system.add_command(events)  # as in Docker, whose `docker events` is short for this


@system.command("info")
@inspect_format
@click.pass_obj
def info(client: Client, form: str) -> None:
    """Show the daemon's host, its runtime and its swarm."""
    check_inspect(form, document(host_pb2.InfoResponse()))
    found = client.call(client.host.Info, host_pb2.InfoRequest(), "asking the daemon")
    if form:
        click.echo(inspect([document(found)], _single(form)), nl=False)
        return
    click.echo(pretty(_lines(found)), nl=False)
    for warning in found.warnings:
        click.echo(f"WARNING: {warning}", err=True)


@system.command("version")
@inspect_format
@click.pass_obj
def version(client: Client, form: str) -> None:
    """Show the versions of this program and of the daemon."""
    check_inspect(form, {"Client": _client(), "Server": _server(host_pb2.InfoResponse())})
    versions = {"Client": _client()}
    try:
        found = client.call(client.host.Info, host_pb2.InfoRequest(), "asking the daemon")
        versions["Server"] = _server(found)
    finally:
        # Which version this program has is known even if no daemon answers.
        if "Server" in versions or not form:
            click.echo(_versions(versions, form), nl=False)


def _client() -> dict[str, str]:
    return {"Version": installed_version("swarmctl"), "Python": platform.python_version()}


def _server(found: host_pb2.InfoResponse) -> dict[str, str]:
    return {
        "Version": found.version,
        "Python": found.python,
        "Runtime": found.description.engine.runtime,
        "Kernel": found.kernel,
    }


def _versions(versions: Mapping[str, Mapping[str, str]], form: str) -> str:
    if form:
        return inspect([versions], _single(form))
    lines = []
    for side, values in versions.items():
        lines += [(side, ""), *((f" {name}", value) for name, value in values.items())]
    return pretty(lines)


def _single(form: str) -> str:
    # One object, not an array of one, as in Docker.
    return "{{json .}}" if form == "json" else form


def _lines(found: host_pb2.InfoResponse) -> list[tuple[str, str]]:
    description = found.description
    return [
        ("Server Version", found.version),
        ("Containers", str(found.containers)),
        (" Running", str(found.containers_running)),
        ("Images", str(found.images)),
        ("Runtime", description.engine.runtime),
        *_swarm_lines(found.swarm),
        ("Kernel Version", found.kernel),
        ("Operating System", found.os),
        ("Architecture", description.platform.architecture),
        ("CPUs", f"{description.resources.nano_cpus / 1e9:g}"),
        ("Total Memory", binary_size(description.resources.memory_bytes)),
        ("Name", description.hostname),
        ("State Directory", found.state_dir),
        ("Event Loop Lag", f"{1000 * seconds_of(found.loop_lag):.0f} ms at most in a minute"),
        *((f"Label {key}", value) for key, value in sorted(description.engine.labels.items())),
    ]


def _swarm_lines(swarm: host_pb2.SwarmInfo) -> list[tuple[str, str]]:
    lines = [("Swarm", _STATES.get(swarm.state, "unknown"))]
    if swarm.state == host_pb2.SwarmInfo.STATE_INACTIVE:
        return lines
    lines += [
        (" Node ID", swarm.node_id),
        (" Cluster ID", swarm.cluster_id),
        (" Is Manager", str(swarm.role == types_pb2.NODE_ROLE_MANAGER).lower()),
        (" Managers", ", ".join(swarm.managers)),
    ]
    if swarm.HasField("certificate_expires_at"):  # a locked manager has not read it
        expires = rfc3339(seconds_of(swarm.certificate_expires_at))
        lines.append((" Certificate Expires", expires))
    if swarm.error:
        lines.append((" Error", swarm.error))
    return lines
