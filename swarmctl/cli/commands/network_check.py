"""`swarmctl network check`: whether networks do what they ought to, on every node."""

import json

import click

from api.v1 import check_pb2
from swarmctl.cli.check_lines import is_wrong, lines, summary
from swarmctl.cli.client import Client
from swarmctl.cli.completion import completes
from swarmctl.cli.documents import document
from swarmctl.cli.failures import end
from swarmctl.cli.grammar import Verb

_FORMS = ("", "text", "json")


@click.command("check", cls=Verb)
@click.argument("name", metavar="[NETWORK]", default="", shell_complete=completes("network"))
@click.option("--fix", is_flag=True, help="Mend what is wrong")
@click.option("--node", default="", metavar="NODE", help="Look at this node only")
@click.option(
    "--format", "form", type=click.Choice(_FORMS[1:]), default="text", help="text or json"
)
@click.pass_obj
def check(client: Client, name: str, fix: bool, node: str, form: str) -> None:
    """Look whether networks do what they ought to, and say what is wrong and why.

    Each node compares its links, addresses, entries, rules, routes and name servers with what the
    managers mean, and asks the others for small and large packets. Exit code 1: something is wrong.

    Nothing is changed without --fix. With it, nodes make anew what differs, are told everything
    anew, and let networks pass other firewalls of theirs by those firewalls' own commands, which
    are shown.
    """
    request = check_pb2.CheckNetworksRequest(network=name, node=node)
    method = client.checks.Fix if fix else client.checks.Check
    reports: list[check_pb2.NetworkCheckReport] = []
    for report in client.stream(method, request, "checking networks"):
        reports.append(report)
        if form == "json":
            click.echo(json.dumps(document(report)))
        else:
            click.echo(lines(report), nl=False)
    if form != "json":
        click.echo(summary(reports, fix=fix))
    last = {report.node_id: report for report in reports}
    end(not any(map(is_wrong, last.values())))
