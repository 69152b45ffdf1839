"""All that a node's containers may be told: networks with their names, zones over them. Pure."""

import weakref
from collections.abc import Iterable

from api.errors import Code, SwarmError
from api.v1 import network_pb2
from overlay_net.dns.names import Name
from overlay_net.dns.network_zone import NetworkZone
from overlay_net.dns.zone import Zone


class Directory:
    """Told of every change, or by `sync` of how all is. What is put must not be changed afterwards.

    Order matters only in that a network comes before what is in it.
    """

    def __init__(self) -> None:
        self._networks: dict[str, NetworkZone] = {}
        # Removed, and part of a zone still: that zone goes on with it if it comes back.
        self._left: weakref.WeakValueDictionary[str, NetworkZone] = weakref.WeakValueDictionary()
        # A zone lives as long as a container that has it, and hears of changes as long.
        self._living: weakref.WeakSet[Zone] = weakref.WeakSet()
        self._shared: weakref.WeakValueDictionary[tuple[str, ...], Zone] = (
            weakref.WeakValueDictionary()
        )

    def zone(self, network_ids: Iterable[str]) -> Zone:
        """The zone of a container in these networks, in the order of its interfaces.

        The ingress network has no names: it is for the nodes. NOT_FOUND for one never put.
        """
        networks = [self._network(network_id) for network_id in network_ids]
        named = [network for network in networks if not network.told.ingress]
        key = tuple(network.told.id for network in named)
        zone = self._shared.get(key)
        if zone is None:
            zone = self._shared[key] = Zone(named)
            self._living.add(zone)
        return zone

    def put_network(self, told: network_pb2.NodeNetwork) -> None:
        """A network of this node, or one that has changed."""
        network = self._networks.get(told.id) or self._left.pop(told.id, None)
        if network is None:
            network = NetworkZone(told)
        elif network.told != told:
            network.retell(told)
            for zone in self._zones_with(network):
                zone.forget_all()
        self._networks[told.id] = network

    def remove_network(self, network_id: str) -> None:
        """The node has no task in the network any more."""
        network = self._networks.pop(network_id, None)
        if network is None:
            return
        for task_id in network.endpoints():
            self._forget(network, network.remove_endpoint(task_id))
        for service_id in network.services():
            self._forget(network, network.remove_service(service_id))
        self._left[network_id] = network

    def put_endpoint(self, told: network_pb2.NetworkEndpoint) -> None:
        """A new endpoint, or one that has changed; in a nameless network it is not found."""
        network = self._network(told.network_id)
        if not network.told.nameless:
            self._forget(network, network.put_endpoint(told))

    def remove_endpoint(self, network_id: str, task_id: str) -> None:
        """An endpoint that is gone; no error if its network is too."""
        network = self._networks.get(network_id)
        if network is not None:
            self._forget(network, network.remove_endpoint(task_id))

    def put_service(self, told: network_pb2.NetworkService) -> None:
        """A new service, or one that has changed."""
        network = self._network(told.network_id)
        self._forget(network, network.put_service(told))

    def remove_service(self, network_id: str, service_id: str) -> None:
        """A service that is gone; no error if its network is too."""
        network = self._networks.get(network_id)
        if network is not None:
            self._forget(network, network.remove_service(service_id))

    def sync(
        self,
        networks: Iterable[network_pb2.NodeNetwork],
        endpoints: Iterable[network_pb2.NetworkEndpoint],
        services: Iterable[network_pb2.NetworkService],
    ) -> None:
        """From now on there is this and nothing else; answers for what stays are kept.

        Takes some 2 us for what is as before, 25 us for what is new.
        """
        gone = set(self._networks)
        for network in networks:
            self.put_network(network)
            gone.discard(network.id)
        for network_id in gone:
            self.remove_network(network_id)
        old_endpoints = {(n, t) for n, zone in self._networks.items() for t in zone.endpoints()}
        old_services = {(n, s) for n, zone in self._networks.items() for s in zone.services()}
        for endpoint in endpoints:
            self.put_endpoint(endpoint)
            old_endpoints.discard((endpoint.network_id, endpoint.task_id))
        for service in services:
            self.put_service(service)
            old_services.discard((service.network_id, service.service_id))
        for network_id, task_id in old_endpoints:
            self.remove_endpoint(network_id, task_id)
        for network_id, service_id in old_services:
            self.remove_service(network_id, service_id)

    def _network(self, network_id: str) -> NetworkZone:
        try:
            return self._networks[network_id]
        except KeyError:
            raise SwarmError(
                Code.NOT_FOUND, f"network {network_id} is not known on this node"
            ) from None

    def _forget(self, network: NetworkZone, names: set[Name]) -> None:
        if names:
            for zone in self._zones_with(network):
                zone.forget(names)

    def _zones_with(self, network: NetworkZone) -> list[Zone]:
        return [zone for zone in self._living if zone.has(network)]
