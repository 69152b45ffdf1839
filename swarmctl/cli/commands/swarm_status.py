"""`swarmctl swarm status`: how the managers agree, as one of them sees it."""

import click

from api.v1 import control_pb2
from swarmctl.cli.client import Client
from swarmctl.cli.grammar import Verb
from swarmctl.cli.options import format_option
from swarmctl.cli.render import Listing

_LISTING = Listing(
    columns=(
        ("RaftID", "RAFT ID"),
        ("Hostname", "HOSTNAME"),
        ("Address", "ADDRESS"),
        ("Seat", "SEAT"),
        ("Reachable", "REACHABLE"),
        ("Behind", "BEHIND"),
    ),
    quiet="RaftID",
    more=(("NodeID", "NODE ID"), ("Match", "MATCH")),
)


@click.command("status", cls=Verb)
@format_option
@click.option("--details", is_flag=True, help="Print all that the consensus core knows")
@click.pass_obj
def status(client: Client, form: str, details: bool) -> None:
    """Show the group of managers, also when it has no leader.

    Who is reachable, and how many entries each is behind, is known to the leader alone.
    """
    _LISTING.check(form)
    found = client.call(client.control.GetGroup, control_pb2.GetGroupRequest(), "asking a manager")
    if details:
        click.echo(found.details)
        return
    click.echo(_LISTING.render([_row(each, found) for each in found.members], form), nl=False)
    if form == "table":
        click.echo(f"\n{_summary(found)}")


def _row(each: control_pb2.GroupMember, found: control_pb2.ManagerGroupStatus) -> dict[str, str]:
    member = each.member
    is_known = found.leader == found.raft_id
    vote = "voter" if each.voter else "learner"
    return {
        "RaftID": f"{member.raft_id:x}",
        "NodeID": member.node_id,
        "Hostname": each.hostname or member.node_id,
        "Address": member.address,
        "Seat": "leader" if member.raft_id == found.leader else vote,
        "Reachable": ("yes" if each.active else "no") if is_known else "",
        "Behind": str(max(0, found.commit - each.match)) if is_known else "",
        "Match": str(each.match) if is_known else "",
    }


def _summary(found: control_pb2.ManagerGroupStatus) -> str:
    names = {each.member.raft_id: each.hostname for each in found.members}
    asked = names.get(found.raft_id) or f"{found.raft_id:x}"
    leader = names.get(found.leader) or f"{found.leader:x}"
    lead = f"{leader} leads" if found.leader else "nobody leads"
    return (
        f"As {asked} sees it: {lead} in term {found.term}, "
        f"{found.commit} entries committed, {found.applied} applied."
    )
