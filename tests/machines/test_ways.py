"""Ways to real hosts: what they survive, what they refuse, and which ports lead where."""

import asyncio
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.reach import Port, Protocol, Station, closed
from machine.ssh.remote import SshRemote, shown_key
from machine.ssh.transport import Patience
from machine.target import Target
from tests.support.machine_hosts import faults
from tests.support.machine_hosts.base_tree import OPS_PASSWORD
from tests.support.machine_hosts.host import MachineHost
from tests.support.machine_hosts.lab import MachineLab, MakeHosts
from tests.support.ssh_clients import Answers, Client

pytestmark = pytest.mark.machines

_PATIENCE = Patience(alive=0.5, silence=10.0)
_RULES = """
table inet test {
    chain input {
        type filter hook input priority 0
        ip saddr SOURCE tcp dport 2377 drop
        ip saddr SOURCE tcp dport 2378 reject with tcp reset
        ip saddr SOURCE udp dport 4789 drop
    }
}
"""


class Operator(Client):
    """With the lab's key, and a password for sudo."""

    def __init__(self, folder: Path, lab: MachineLab) -> None:
        super().__init__(folder, questions=Answers(password=OPS_PASSWORD), patience=_PATIENCE)
        self._key = str(lab.key)

    async def to(self, host: MachineHost, user: str = "root", *jump: str) -> SshRemote:
        """A way to a host."""
        return await self.connect(self.target(host, user, *jump), host.name)

    def target(self, host: MachineHost, user: str = "root", *jump: str) -> Target:
        """A host, and who goes there."""
        return Target(host.address, user, key=self._key, jump=jump, agent=False)


def test_ports_that_firewalls_close_are_found_from_each_side(
    lab: MachineLab, machine_hosts: MakeHosts, tmp_path: Path
) -> None:
    hosts = first, second, third = machine_hosts("h1", "h2", "h3")
    second.run(["nft", "-f", "-"], given=_RULES.replace("SOURCE", third.address).encode())
    ports = [Port(2377), Port(2378), Port(4789, Protocol.UDP)]
    operator = Operator(tmp_path, lab)

    async def look() -> list[tuple[str, str, str, str]]:
        jump = f"root@{first.address}"
        remotes = [
            await operator.to(first),
            await operator.to(second, "ops", jump),  # by sudo, behind a jump host
            await operator.to(third, "deploy"),
        ]
        try:
            stations = [
                Station(remote, host.address) for remote, host in zip(remotes, hosts, strict=True)
            ]
            found = await closed(stations, ports, nonce="a word", patience=10.0)
        finally:
            await asyncio.gather(*(remote.close() for remote in remotes))
        return [
            (each.source, each.goal, str(each.port), each.why.partition(":")[0]) for each in found
        ]

    assert lab.inside(look()) == [
        ("h3", "h2", "tcp/2377", "no answer"),
        ("h3", "h2", "tcp/2378", "refused"),
        ("h3", "h2", "udp/4789", "no answer"),
    ]
    for host in hosts:
        assert "perl" not in host.run(["ps", "-eo", "comm"], check=False)


def test_a_host_that_falls_silent_and_comes_back_as_another(
    lab: MachineLab, machine_hosts: MakeHosts, tmp_path: Path
) -> None:
    (host,) = machine_hosts("h1")
    operator = Operator(tmp_path, lab)

    async def lost() -> SwarmError:
        remote = await operator.to(host, "deploy")
        try:
            running = asyncio.create_task(remote.run(["sleep", "600"], timeout=600))
            while (await remote.run(["pgrep", "-x", "sleep"], timeout=20)).code != 0:
                pass
            await asyncio.to_thread(host.cut)
            with pytest.raises(SwarmError) as failed:
                await running
            return failed.value
        finally:
            await remote.close()

    error = lab.inside(lost())
    assert (error.code, error.why) == (Code.UNAVAILABLE, "the host is silent")

    async def refused(user: str) -> SwarmError:
        with pytest.raises(SwarmError) as failed:
            await operator.to(host, user)
        return failed.value

    silent = lab.inside(refused("root"))
    assert silent.code is Code.UNAVAILABLE
    host.mend()
    faults.replace_host_key(host)
    changed = lab.inside(refused("root"))
    assert changed.code is Code.UNAUTHENTICATED
    assert "swarmctl machine trust" in changed.remedy
    faults.remove_sudo(host)

    async def trusted() -> SwarmError:
        target = operator.target(host)
        operator.known.replace(await shown_key("h1", target, operator.around))
        await (await operator.to(host)).close()
        return await refused("deploy")

    assert lab.inside(trusted()).why == "sudo is not installed there"
