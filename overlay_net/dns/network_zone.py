"""The names of one network, kept up to date at the cost of what changes. Pure.

A name belongs to the first of these that has it: a service (its name and aliases, and `tasks.`
before them), an endpoint (a task's or container's name, a lone container's aliases), a host name.
So no container can take a service's name by calling its host like it.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from api.v1 import network_pb2, specs_pb2
from overlay_net.dns.answer import TASK_TTL, VIRTUAL_TTL
from overlay_net.dns.names import Address, Name, encode, join, reverse

TASKS = b"\x05tasks"
"""`tasks.NAME` are the tasks of a service that is found by NAME."""


@dataclass(frozen=True, slots=True)
class Found:
    """The addresses of a name, packed, and for how many seconds they may be kept."""

    addresses: tuple[bytes, ...]
    ttl: int

    def of_length(self, length: int) -> list[bytes]:
        """Those of one family: 4 or 16 bytes long."""
        return [address for address in self.addresses if len(address) == length]


@dataclass(frozen=True, slots=True)
class _Endpoint:
    told: network_pb2.NetworkEndpoint
    name: Name | None
    names: frozenset[Name]
    hostname: Name | None
    addresses: tuple[bytes, ...]
    reverses: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class _Service:
    told: network_pb2.NetworkService
    name: Name | None
    names: frozenset[Name]
    addresses: tuple[bytes, ...]
    reverses: tuple[Name, ...]


@dataclass(slots=True)
class _Index:
    """Who has a name; in the order in which they came."""

    owners: dict[Name, dict[str, None]] = field(default_factory=dict)

    def add(self, names: Iterable[Name], owner: str) -> None:
        for name in names:
            self.owners.setdefault(name, {})[owner] = None

    def remove(self, names: Iterable[Name], owner: str) -> None:
        for name in names:
            having = self.owners[name]
            del having[owner]
            if not having:
                del self.owners[name]

    def get(self, name: Name) -> Iterable[str]:
        return self.owners.get(name, ())


class NetworkZone:
    """What is found in one network. Changes answer with the names that mean something else now."""

    def __init__(self, network: network_pb2.NodeNetwork) -> None:
        self.retell(network)
        self._endpoints: dict[str, _Endpoint] = {}
        self._services: dict[str, _Service] = {}
        self._serving: dict[str, dict[str, _Endpoint]] = {}
        self._of_services = _Index()
        self._of_endpoints = _Index()
        self._of_hosts = _Index()
        self._reverse_endpoints = _Index()
        self._reverse_services = _Index()

    def retell(self, network: network_pb2.NodeNetwork) -> None:
        """What the network itself is."""
        self.told = network
        self.suffix: Name = encode(network.name) or b""
        """The network's name: `NAME.NETWORK` is found too, as in Docker."""
        self._subnets = [ipaddress.ip_network(pool.subnet) for pool in network.pools if pool.subnet]

    def endpoints(self) -> set[str]:
        """The tasks that have an endpoint here."""
        return set(self._endpoints)

    def services(self) -> set[str]:
        """The services that are known here."""
        return set(self._services)

    def covers(self, address: Address) -> bool:
        """Whether an address is one of this network's, and so nobody else's to name."""
        return any(address in subnet for subnet in self._subnets)

    def put_endpoint(self, told: network_pb2.NetworkEndpoint) -> set[Name]:
        """A new endpoint, or one that has changed."""
        before = self._endpoints.get(told.task_id)
        if before is not None and before.told == told:
            return set()
        made = _endpoint(told)
        key = told.task_id
        changed = self.remove_endpoint(key)
        self._endpoints[key] = made
        self._of_endpoints.add(made.names, key)
        self._reverse_endpoints.add(made.reverses, key)
        if made.hostname is not None:
            self._of_hosts.add([made.hostname], key)
        if told.service_id and told.serving:
            self._serving.setdefault(told.service_id, {})[key] = made
        return changed | self._names_of(made)

    def remove_endpoint(self, task_id: str) -> set[Name]:
        """The endpoint is gone, or was never here."""
        gone = self._endpoints.pop(task_id, None)
        if gone is None:
            return set()
        self._of_endpoints.remove(gone.names, task_id)
        self._reverse_endpoints.remove(gone.reverses, task_id)
        if gone.hostname is not None:
            self._of_hosts.remove([gone.hostname], task_id)
        serving = self._serving.get(gone.told.service_id, {})
        if serving.pop(task_id, None) is not None and not serving:
            del self._serving[gone.told.service_id]
        return self._names_of(gone)

    def put_service(self, told: network_pb2.NetworkService) -> set[Name]:
        """A new service, or one that has changed."""
        before = self._services.get(told.service_id)
        if before is not None and before.told == told:
            return set()
        made = _service(told)
        changed = self.remove_service(told.service_id)
        self._services[told.service_id] = made
        self._of_services.add(made.names, told.service_id)
        self._reverse_services.add(made.reverses, told.service_id)
        return changed | self._names_of_service(made)

    def remove_service(self, service_id: str) -> set[Name]:
        """The service is gone, or was never here."""
        gone = self._services.pop(service_id, None)
        if gone is None:
            return set()
        self._of_services.remove(gone.names, service_id)
        self._reverse_services.remove(gone.reverses, service_id)
        return self._names_of_service(gone)

    def find(self, name: Name) -> Found | None:
        """The addresses of a name within this network; none of them is not the same as None."""
        services = self.services_of(name)
        if services:
            found = [self._addresses(service) for service in services]
            ttl = min(each.ttl for each in found)
            return Found(tuple(address for each in found for address in each.addresses), ttl)
        if name.startswith(TASKS):
            services = self.services_of(name[len(TASKS) :])
            if services:
                tasks = [task for each in services for task in self._tasks(each)]
                return _found(tasks)
        owners = self._of_endpoints.get(name) or self._of_hosts.get(name)
        if owners:
            return _found(self._endpoints[owner] for owner in owners)
        return None

    def services_of(self, name: Name) -> list[_Service]:
        """The services that are called so."""
        return [self._services[service_id] for service_id in self._of_services.get(name)]

    def who_has(self, reverse_name: Name) -> Iterator[Name]:
        """The names, with the network's behind, of an address's owners."""
        for task_id in self._reverse_endpoints.get(reverse_name):
            name = self._endpoints[task_id].name
            if name is not None:
                yield join(name, self.suffix) or name
        for service_id in self._reverse_services.get(reverse_name):
            name = self._services[service_id].name
            if name is not None:
                yield join(name, self.suffix) or name

    def where(self, name: Name, label: str, protocol: int) -> list[tuple[int, Name]] | None:
        """Ports and hosts behind `_LABEL._PROTOCOL.NAME`; None if NAME is no service's.

        The label is a port's number, as its task or as the swarm's nodes have it. The port given is
        the task's, for it is reached within the network.
        """
        direct = self.services_of(name)
        of_tasks = not direct and name.startswith(TASKS)
        services = self.services_of(name[len(TASKS) :]) if of_tasks else direct
        if not services:
            return None
        found: list[tuple[int, Name]] = []
        for service in services:
            ports = [
                port.target_port
                for port in service.told.ports
                if port.protocol == protocol
                and label in {str(port.target_port), str(port.published_port)}
            ]
            if of_tasks or _by_tasks(service.told):
                hosts = [task.name for task in self._tasks(service)]
            else:
                hosts = [service.name]
            found += [(port, host) for port in dict.fromkeys(ports) for host in hosts if host]
        return found

    def _addresses(self, service: _Service) -> Found:
        if _by_tasks(service.told):
            return _found(self._tasks(service))
        return Found(service.addresses, VIRTUAL_TTL)

    def _tasks(self, service: _Service) -> Iterable[_Endpoint]:
        return self._serving.get(service.told.service_id, {}).values()

    def _names_of(self, endpoint: _Endpoint) -> set[Name]:
        names = set(endpoint.names) | set(endpoint.reverses)
        if endpoint.hostname is not None:
            names.add(endpoint.hostname)
        service = self._services.get(endpoint.told.service_id)
        return names | (set() if service is None else self._names_of_service(service))

    def _names_of_service(self, service: _Service) -> set[Name]:
        tasks = {TASKS + name for name in service.names}
        return tasks | service.names | set(service.reverses)


def _found(endpoints: Iterable[_Endpoint]) -> Found:
    addresses = (address for endpoint in endpoints for address in endpoint.addresses)
    return Found(tuple(dict.fromkeys(addresses)), TASK_TTL)


def _by_tasks(service: network_pb2.NetworkService) -> bool:
    return service.mode == specs_pb2.EndpointSpec.MODE_DNSRR


def _endpoint(told: network_pb2.NetworkEndpoint) -> _Endpoint:
    # A service's aliases are the service's to answer for: they mean its virtual address, or those
    # of its tasks that serve.
    names = [told.name] if told.service_id else [told.name, *told.aliases]
    addresses = _packed(told.addresses)
    return _Endpoint(
        told,
        encode(told.name),
        _encoded(names),
        encode(told.hostname),
        addresses,
        tuple(reverse(address) for address in addresses),
    )


def _service(told: network_pb2.NetworkService) -> _Service:
    addresses = _packed(told.virtual_ips)
    reverses = tuple(reverse(address) for address in addresses)
    names = _encoded([told.name, *told.aliases])
    return _Service(told, encode(told.name), names, addresses, reverses)


def _encoded(texts: Iterable[str]) -> frozenset[Name]:
    return frozenset(name for name in map(encode, texts) if name is not None)


def _packed(texts: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(ipaddress.ip_address(text.partition("/")[0]).packed for text in texts)
