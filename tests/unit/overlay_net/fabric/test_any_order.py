"""Whatever happens, in whatever order: then all is as wanted, and who should meet does."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from api.v1 import network_pb2
from tests.support.fabric_hosts import Underlay, cut_off, reaches, underlay

pytestmark = pytest.mark.root

STEPS = 25
NETWORKS = {"red": 1, "green": 2, "blue": 3}
MOST_TASKS = 9


@dataclass
class Swarm:
    """Hosts, and what stands on them; `tasks`: the host, and the address numbers by network."""

    laid: Underlay
    chance: random.Random
    tasks: dict[str, tuple[int, dict[str, int]]] = field(default_factory=dict)
    networks: dict[str, network_pb2.NodeNetwork] = field(default_factory=dict)
    started: int = 0

    def step(self) -> str:
        """Something happens; its name."""
        steps: list[Callable[[], None]] = [
            *(self.start for _ in range(3)),
            self.stop,
            self.connect,
            self.disconnect,
            self.change,
            self.forget,
            self.restart,
        ]
        chosen = self.chance.choice(steps)
        chosen()
        self.laid.converge()
        return chosen.__name__

    def start(self) -> None:
        if len(self.tasks) == MOST_TASKS:
            return
        self.started += 1
        name, host = f"t{self.started}", self.chance.randrange(len(self.laid.hosts))
        joined = self.chance.sample(list(NETWORKS), self.chance.randint(1, len(NETWORKS)))
        given = {network: self._free(network) for network in joined}
        self.tasks[name] = (host, given)
        texts = {network: addresses(network, number) for network, number in given.items()}
        self.laid.task(name, self.laid.hosts[host], **texts)

    def stop(self) -> None:
        if not self.tasks:
            return
        name = self.chance.choice(list(self.tasks))
        host, given = self.tasks.pop(name)
        for network in given:
            self._leave(name, network)
        self.laid.hosts[host].wanted.drop_sandbox(name)
        self.laid.hosts[host].converge()
        self.laid.hosts[host].sandboxes.remove(name)

    def connect(self) -> None:
        for name, (host, given) in self.tasks.items():
            for network in sorted(NETWORKS.keys() - given.keys()):
                given[network] = self._free(network)
                text = addresses(network, given[network])
                self.laid.endpoint(name, self.laid.hosts[host], network, text)
                return

    def disconnect(self) -> None:
        several = [name for name, (_, given) in self.tasks.items() if len(given) > 1]
        if several:
            name = self.chance.choice(several)
            network = self.chance.choice(sorted(self.tasks[name][1]))
            del self.tasks[name][1][network]
            self._leave(name, network)

    def change(self) -> None:
        """A network becomes internal or not, and its frames larger or smaller."""
        network = self.chance.choice(list(NETWORKS))
        self.tell(network, mtu=self.chance.choice([0, 1300]), internal=self.chance.random() < 0.5)

    def forget(self) -> None:
        """A network that nobody is in goes, and comes back."""
        network = self.chance.choice(list(NETWORKS))
        if any(network in given for _, given in self.tasks.values()):
            return
        self.laid.tell(lambda wanted: wanted.drop_network(network))
        if self.chance.random() < 0.5:
            self.laid.converge()
        self.tell(network)

    def restart(self) -> None:
        self.chance.choice(self.laid.hosts).restart()

    def tell(self, id: str, *, mtu: int = 0, internal: bool = False) -> None:
        number = NETWORKS[id]
        network = network_pb2.NodeNetwork(
            id=id, name=id, driver="overlay", vni=4096 + number, mtu=mtu, internal=internal
        )
        network.pools.add(subnet=f"10.0.{number}.0/24")
        network.pools.add(subnet=f"fd0{number}::/64")
        self.networks[id] = network
        self.laid.tell(lambda wanted: wanted.put_network(network))

    def _leave(self, name: str, network: str) -> None:
        self.laid.tell(lambda wanted: wanted.drop_endpoint(network, name))

    def _free(self, network: str) -> int:
        """A number that nobody has; those given back come again soon."""
        taken = {given.get(network) for _, given in self.tasks.values()}
        return self.chance.choice([number for number in range(2, 14) if number not in taken])


def addresses(network: str, number: int) -> str:
    return f"10.0.{NETWORKS[network]}.{number}/24 fd0{NETWORKS[network]}::{number}/64"


@pytest.mark.parametrize("seed", [1, 2])
def test_all_is_as_wanted_and_who_should_meet_does(seed: int) -> None:
    with underlay(3) as laid:
        swarm = Swarm(laid, random.Random(seed))
        for network in NETWORKS:
            swarm.tell(network)
        for _ in range(STEPS):
            happened = swarm.step()
            for host in laid.hosts:
                done = host.converge(fresh=True)
                left = [str(each) for each in done.operations if "packet filter" not in str(each)]
                assert left == [], happened
                outward = {
                    laid.sandboxes[name]
                    for name, (where, given) in swarm.tasks.items()
                    if laid.hosts[where] is host
                    if any(not swarm.networks[network].internal for network in given)
                }
                assert host.ways_out().keys() == outward, happened
            meet(swarm, happened)


def meet(swarm: Swarm, happened: str) -> None:
    """One asks another by all of its addresses."""
    if len(swarm.tasks) < 2:
        return
    asking, asked = swarm.chance.sample(list(swarm.tasks), 2)
    source, target = swarm.laid.sandboxes[asking], swarm.laid.sandboxes[asked]
    for network, number in swarm.tasks[asked][1].items():
        for text in addresses(network, number).split():
            as_wanted = reaches if network in swarm.tasks[asking][1] else cut_off
            address = text.partition("/")[0]
            assert as_wanted(source, target, address), (happened, asking, asked, text)
