"""`swarmctl machine`: hosts that this operator has, from a bare SSH server to a node of a swarm.

Works from here, over SSH and the hosts' own API; besides `lab` the only noun that calls no daemon.
"""

import click

from swarmctl.cli.grammar import Noun

_HERE = "swarmctl.cli.commands.machine"
_VERBS = {
    "active": (f"{_HERE}.env:active", "Print which machine the environment points at"),
    "adopt": (f"{_HERE}.create:adopt", "Record hosts that run swarmd already"),
    "apply": (f"{_HERE}.apply:apply", "Make hosts and swarm what a cluster file says"),
    "certs": (f"{_HERE}.cluster_certs:certs", "Show and exchange the certificates of a cluster"),
    "check": (f"{_HERE}.roll_verbs:check", "Tell what keeps hosts from being nodes"),
    "config": (f"{_HERE}.env:config", "Print the flags with which swarmctl speaks to a machine"),
    "create": (f"{_HERE}.create:create", "Make hosts, and install what a node needs"),
    "drift": (f"{_HERE}.apply:drift", "Compare hosts and swarm with a cluster file"),
    "env": (f"{_HERE}.env:env", "Print what points a shell at a machine"),
    "export": (f"{_HERE}.parcel:export", "Write machines into an encrypted file"),
    "import": (f"{_HERE}.parcel:import_", "Put machines of such a file into the store"),
    "inspect": (f"{_HERE}.show:inspect_", "Show machines in full"),
    "ip": (f"{_HERE}.show:ip", "Print addresses of machines"),
    "kill": (f"{_HERE}.power:kill", "Take the power from machines at once"),
    "lock": (f"{_HERE}.lock:lock", "Show who works on the hosts of a cluster file"),
    "ls": (f"{_HERE}.ls:ls", "List machines, and ask each how it is"),
    "mount": (f"{_HERE}.access:mount", "Show a folder of a machine here"),
    "provision": (f"{_HERE}.installing:provision", "Make hosts as they are wanted"),
    "regenerate-certs": (f"{_HERE}.certs:regenerate_certs", "Renew certificates of machines"),
    "restart": (f"{_HERE}.power:restart", "Restart machines, and wait until they are back"),
    "rollback": (f"{_HERE}.roll_verbs:rollback", "Have hosts run the version before"),
    "rm": (f"{_HERE}.rm:rm", "Forget machines, or leave their hosts as they were"),
    "scp": (f"{_HERE}.access:scp", "Copy files to, from and between machines"),
    "share": (f"{_HERE}.certs:share", "Let a colleague use machines, or not any more"),
    "ssh": (f"{_HERE}.access:ssh", "Open a shell on a machine, or run a command there"),
    "start": (f"{_HERE}.power:start", "Start machines"),
    "status": (f"{_HERE}.show:status", "Print what machines do"),
    "stop": (f"{_HERE}.power:stop", "Shut machines down in order"),
    "trust": (f"{_HERE}.trust:trust", "Trust another host key of a machine"),
    "upgrade": (f"{_HERE}.roll_verbs:upgrade", "Have hosts run another version"),
    "url": (f"{_HERE}.show:url", "Print where the API of machines is"),
    "version": (f"{_HERE}.show:version", "Print which version machines run"),
}


@click.group(cls=Noun, lazy=_VERBS)
def machine() -> None:
    """Manage hosts over SSH, and make nodes of them."""
