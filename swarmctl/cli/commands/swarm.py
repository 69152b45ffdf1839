"""`swarmctl swarm`: making a swarm, joining and leaving it, and who may steer it from elsewhere.
The verbs of its settings and its lock are those of swarm_settings.py, those for bad days are in
swarm_recovery.py.
"""

from pathlib import Path
from typing import Any

import click

from api.errors import Code, SwarmError
from api.new_ids import new_id
from api.times import seconds_of
from api.v1 import control_pb2, host_pb2, specs_pb2, types_pb2
from swarmctl.cli import contexts, lists
from swarmctl.cli.client import DEFAULT_CONTEXT, Client
from swarmctl.cli.commands import (
    swarm_ca,
    swarm_inspect,
    swarm_recovery,
    swarm_settings,
    swarm_status,
)
from swarmctl.cli.files import write_private
from swarmctl.cli.grammar import Noun
from swarmctl.cli.options import choice, format_option, whole
from swarmctl.cli.passphrase import secret_line
from swarmctl.cli.render import Listing
from swarmctl.cli.specs.cluster import apply, cluster_options
from swarmctl.cli.units import rfc3339

JOIN_TIMEOUT = 60.0
_AVAILABILITY = {
    "active": types_pb2.NODE_AVAILABILITY_ACTIVE,
    "pause": types_pb2.NODE_AVAILABILITY_PAUSE,
    "drain": types_pb2.NODE_AVAILABILITY_DRAIN,
}
_ROLES = {"worker": types_pb2.NODE_ROLE_WORKER, "manager": types_pb2.NODE_ROLE_MANAGER}
_OPERATORS = Listing(
    columns=(("ID", "ID"), ("Name", "NAME"), ("Expires", "EXPIRES")),
    quiet="ID",
)
_availability = click.option(
    "--availability", type=choice(_AVAILABILITY), default="active", help="active, pause or drain"
)
_advertise = click.option(
    "--advertise-addr", default="", metavar="ADDR", help="Address or interface others use [:PORT]"
)
_listen = click.option(
    "--listen-addr", default="", metavar="ADDR", help="Address or interface [0.0.0.0:2377]"
)
_data_path = click.option(
    "--data-path-addr", default="", metavar="ADDR", help="Address or interface for tasks' traffic"
)


@click.group(cls=Noun)
def swarm() -> None:
    """Make, join and leave a swarm."""


for _verb in (swarm_settings.update, swarm_settings.unlock, swarm_settings.unlock_key):
    swarm.add_command(_verb)
swarm.add_command(swarm_status.status)
swarm.add_command(swarm_ca.ca)
swarm.add_command(swarm_inspect.inspect_)
for _verb in (swarm_recovery.backup, swarm_recovery.restore, swarm_recovery.readdress):
    swarm.add_command(_verb)


@swarm.command("init")
@_advertise
@_listen
@_data_path
@click.option(
    "--data-path-port",
    type=whole(1024, 49151),
    help="UDP port for tasks' traffic [4789]",
)
@click.option(
    "--default-addr-pool",
    "address_pools",
    multiple=True,
    metavar="CIDR",
    help="Where subnets are chosen from [10.0.0.0/8]",
)
@click.option(
    "--default-addr-pool-mask-length",
    "subnet_size",
    type=whole(1, 32),
    help="Length of their prefixes [24]",
)
@_availability
@click.option(
    "--force-new-cluster",
    is_flag=True,
    help="Go on alone with this manager's state: most managers are lost",
)
@click.option(
    "-q",
    "--quiet",
    is_flag=True,
    default=None,  # not given, which --force-new-cluster can tell from --quiet=false
    help="Only print the id of this node, no token and no key",
)
@cluster_options
@click.pass_obj
def init(
    client: Client,
    /,
    advertise_addr: str,
    listen_addr: str,
    data_path_addr: str,
    data_path_port: int | None,
    address_pools: tuple[str, ...],
    subnet_size: int | None,
    availability: types_pb2.NodeAvailability.ValueType,
    force_new_cluster: bool,
    quiet: bool | None,
    **settings: Any,  # noqa: ANN401 - one keyword for each row of the flag table
) -> None:
    """Make this host the first manager of a new swarm."""
    if force_new_cluster:
        swarm_recovery.force(client, click.get_current_context())
        return
    spec = specs_pb2.ClusterSpec()
    apply(spec, settings)
    spec.address_pools.extend(pool for text in address_pools for pool in text.split(","))
    spec.subnet_size, spec.data_path_port = subnet_size or 0, data_path_port or 0
    request = host_pb2.InitSwarmRequest(
        advertise_address=advertise_addr,
        listen_address=listen_addr,
        availability=availability,
        spec=spec,
        data_path_address=data_path_addr,
    )
    made = client.call(
        client.host.InitSwarm, request, "making a swarm", at_least=JOIN_TIMEOUT, once=True
    )
    if quiet:
        click.echo(made.node_id)
        return
    click.echo(f"Swarm initialized: this node ({made.node_id}) is its manager.\n")
    click.echo("To add a worker, run on its host:\n")
    click.echo(f"    swarmctl swarm join --token {made.worker_token} {made.address}\n")
    click.echo("To add a manager, run what `swarmctl swarm join-token manager` prints.\n")
    if spec.autolock:
        swarm_settings.tell_unlock_key(client)


@swarm.command("join")
@click.argument("managers", nargs=-1, required=True, metavar="HOST:PORT...")
@click.option("--token", help="Join token, from: swarm join-token worker")
@click.option(
    "--token-file",
    type=click.Path(allow_dash=True, path_type=Path),
    metavar="PATH|-",
    help="Its first line is the token, so that no list of processes shows it; -: standard input",
)
@_advertise
@_listen
@_data_path
@_availability
@click.pass_obj
def join(
    client: Client,
    managers: tuple[str, ...],
    token: str | None,
    token_file: Path | None,
    advertise_addr: str,
    listen_addr: str,
    data_path_addr: str,
    availability: types_pb2.NodeAvailability.ValueType,
) -> None:
    """Make this host a node of an existing swarm."""
    if bool(token) == bool(token_file):
        raise click.UsageError("give the token by one of --token and --token-file")
    request = host_pb2.JoinSwarmRequest(
        token=token or secret_line(token_file, "token"),
        managers=managers,
        advertise_address=advertise_addr,
        listen_address=listen_addr,
        availability=availability,
        data_path_address=data_path_addr,
    )
    joined = client.call(
        client.host.JoinSwarm, request, "joining", at_least=JOIN_TIMEOUT, once=True
    )
    role = "a manager" if joined.role == types_pb2.NODE_ROLE_MANAGER else "a worker"
    click.echo(f"This node joined a swarm as {role} ({joined.node_id}).")


@swarm.command("leave")
@click.option("-f", "--force", is_flag=True, help="Also if the swarm is lost by it")
@click.pass_obj
def leave(client: Client, force: bool) -> None:
    """Take this host out of its swarm; its tasks are stopped."""
    request = host_pb2.LeaveSwarmRequest(force=force)
    client.call(client.host.LeaveSwarm, request, "leaving", at_least=JOIN_TIMEOUT, once=True)
    click.echo("Node left the swarm.")


@swarm.command("join-token")
@click.argument("role", type=click.Choice(list(_ROLES)))
@click.option("--rotate", is_flag=True, help="Make a new token; the old one is void")
@click.option("-q", "--quiet", is_flag=True, help="Only print the token")
@click.pass_obj
def join_token(client: Client, role: str, rotate: bool, quiet: bool) -> None:
    """Show the token with which hosts join as workers or managers."""
    if rotate:
        request = control_pb2.RotateJoinTokenRequest(role=_ROLES[role], request_id=new_id())
        cluster = client.call(client.control.RotateJoinToken, request, "rotating the token")
    else:
        cluster = client.call(
            client.control.GetCluster, control_pb2.GetClusterRequest(), "asking for the token"
        )
    ca = cluster.root_ca
    token = ca.manager_token if role == "manager" else ca.worker_token
    if quiet:
        click.echo(token)
        return
    if rotate:
        click.echo(f"The {role} token was rotated; the old one is refused now.\n")
    addresses = " ".join(_managers(client))
    click.echo(f"To add a {role}, run on its host:\n")
    click.echo(f"    swarmctl swarm join --token {token} {addresses}\n")


def _managers(client: Client) -> list[str]:
    request = control_pb2.ListNodesRequest(roles=[types_pb2.NODE_ROLE_MANAGER])
    return [each.manager.address for each in lists.nodes(client, request)]


@swarm.command("client-cert")
@click.argument("name", required=False)
@click.option(
    "--out", type=click.Path(path_type=Path), help="New folder for the certificate [NAME]"
)
@click.option("--context", "context_name", help="Also save a context of this name")
@click.option("--ls", "listing", is_flag=True, help="List the operators that have certificates")
@click.option("--rm", "removing", is_flag=True, help="Revoke the certificates of NAME")
@format_option
@click.pass_obj
def client_cert(
    client: Client,
    name: str | None,
    out: Path | None,
    context_name: str | None,
    listing: bool,
    removing: bool,
    form: str,
) -> None:
    """Make a certificate with which NAME steers the swarm from elsewhere."""
    if listing:
        _list_operators(client, form)
        return
    if form != "table":
        raise click.UsageError("--format goes with --ls")
    if not name:
        raise click.UsageError("a NAME is needed")
    if removing:
        request = control_pb2.RemoveRequest(key=name, request_id=new_id())
        client.call(client.control.RemoveOperator, request, f"revoking {name}")
        click.echo(name)
        return
    _check_context(context_name)
    folder = (out or Path(name)).absolute()
    managers = _make_certificate(client, name, folder)
    click.echo(f"Wrote ca.pem, cert.pem and key.pem to {folder}.")
    if context_name:
        hosts = tuple(f"tcp://{address}" for address in managers)
        contexts.save(contexts.Context(context_name, hosts, str(folder)))
        click.echo(f"Context {context_name} points there: swarmctl context use {context_name}")


def _check_context(name: str | None) -> None:
    """Refuses the name of a context that is there already, as the local socket's always is."""
    if name is not None and (name == DEFAULT_CONTEXT or contexts.is_there(name)):
        raise SwarmError(
            Code.EXISTS,
            f"there is a context {name} already",
            remedy="choose another name, or remove it with swarmctl context rm",
        )


def _make_certificate(client: Client, name: str, folder: Path) -> list[str]:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise click.BadParameter(f"{folder} is no empty folder", param_hint="--out")
    write_private(folder, {})  # where it cannot be written, nobody is certified
    # Few commands need keys, and cryptography costs start-up time.
    from api.identity import make_csr, new_key  # noqa: PLC0415

    # The key is made here and never leaves this host.
    key = new_key()
    request = control_pb2.CreateOperatorRequest(
        name=name, csr_pem=make_csr(key), request_id=new_id()
    )
    made = client.call(client.control.CreateOperator, request, f"certifying {name}")
    write_private(folder, {"ca.pem": made.ca_pem, "cert.pem": made.certificate_pem, "key.pem": key})
    return list(made.managers)


def _list_operators(client: Client, form: str) -> None:
    _OPERATORS.check(form)
    found = client.call(
        client.control.ListOperators, control_pb2.ListOperatorsRequest(), "listing operators"
    ).operators
    rows = [
        {"ID": each.id, "Name": each.name, "Expires": rfc3339(seconds_of(each.expires_at))}
        for each in found
    ]
    click.echo(_OPERATORS.render(rows, form), nl=False)
