"""The configuration of OpenSSH's programs for some machines: the same way, the same pinned keys.

Programs of people (ssh, scp, sshfs, rsync over ssh) read it by `-F`; it holds no secret. Pure.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from api.errors import invalid
from machine.ssh.route import DEFAULTS, Hop


def configuration(machines: Iterable[tuple[str, tuple[Hop, ...], Path]], known_hosts: Path) -> str:
    """For each machine its name, its hops, and the folder where relative names of keys begin.

    Under its name, and no other, each machine is reached. INVALID for what cannot be written so.
    """
    lines = [line for each in machines for line in _machine(*each)]
    common = [
        f"UserKnownHostsFile {_quoted(known_hosts)}",
        "GlobalKnownHostsFile /dev/null",
        "StrictHostKeyChecking yes",
        "UpdateHostKeys no",
        "CheckHostIP no",
        "VerifyHostKeyDNS no",
        "ConnectTimeout 10",
        "ServerAliveInterval 15",
        "ServerAliveCountMax 3",
        "ProxyCommand none",
    ]
    return "".join(f"{line}\n" for line in (*lines, "Host *", *common))


def _machine(name: str, hops: tuple[Hop, ...], folder: Path) -> Iterator[str]:
    # "_" stands in no machine's name.
    names = [f"{name}_jump{at}" for at in range(1, len(hops))] + [name]
    for at, (known, hop) in enumerate(zip(names, hops, strict=True)):
        yield f"Host {known}"
        yield f"HostName {_quoted(hop.host)}"
        yield f"Port {hop.port}"
        yield f"User {_quoted(hop.user)}"
        if hop.alias or hop.via:  # else ssh makes the same name of host and port
            yield f"HostKeyAlias {_quoted(hop.known_as)}"
        yield f"IdentitiesOnly {'yes' if hop.only_keys else 'no'}"
        yield f"IdentityAgent {_agent(hop)}"
        for key in hop.keys if hop.only_keys or not hop.keys else (*hop.keys, *DEFAULTS):
            yield f"IdentityFile {_quoted(folder / Path(key).expanduser())}"
        # Of the two ssh takes the one that it finds first, and knows no quotes for the command.
        if hop.command:
            yield f"ProxyCommand {hop.command.replace('%', '%%')}"
        else:
            yield f"ProxyJump {names[at - 1] if at else 'none'}"


def _agent(hop: Hop) -> str:
    if not hop.agent:
        return "none"
    return _quoted(hop.agent_socket) if hop.agent_socket else "SSH_AUTH_SOCK"


def _quoted(value: str | Path) -> str:
    """One argument of a line; % would be a place-holder."""
    text = str(value)
    if not text.isprintable():
        raise invalid("ssh", f"{text!r} cannot be written into a configuration of ssh")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
