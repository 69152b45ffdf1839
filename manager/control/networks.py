"""What operators may do with networks: checks, then one proposal; a retry has no second effect.

What is chosen for a network, subnets and a VNI, is the allocator's affair (manager/allocator). Of
the networks that every node has by itself the store knows nothing: they are shown, and stay as they
are.
"""

from collections.abc import Iterator, Mapping

from api import networks as rules
from api import validate
from api.errors import Code, SwarmError, invalid
from api.ids import IdSource
from api.states import task_name
from api.v1 import control_pb2, objects_pb2, specs_pb2
from manager.allocator.attach import addresses_of, at_rest
from manager.allocator.ipam import V4, Room, bare, parsed
from manager.control import listing
from manager.control.requests import needed_request_id, stale
from manager.control.resolve import resolve
from manager.state.changes import Change, batch, copy, create, delete, update
from manager.state.networks import in_use, users_of
from manager.state.proposer import Proposer, propose_one
from manager.state.store import Store, View

Network = objects_pb2.Network


def _builtin(name: str) -> Network:
    made = Network(id=name)
    made.spec.annotations.name = name
    made.spec.driver = "null" if name == "none" else name
    made.spec.scope = rules.LOCAL
    return made


BUILTIN: Mapping[str, Network] = {name: _builtin(name) for name in rules.BUILTIN}
"""What every node has by itself; their ids are their names."""


class Networks:
    """Create, read, update and remove networks."""

    def __init__(self, store: Store, proposer: Proposer, ids: IdSource) -> None:
        self._store = store
        self._proposer = proposer
        self._ids = ids

    def get(self, request: control_pb2.GetRequest) -> Network:
        """One network."""
        return BUILTIN.get(request.key) or resolve(self._store, Network, request.key)

    def use(self, request: control_pb2.GetRequest) -> control_pb2.NetworkUse:
        """Who is in a network; of one that every node has by itself, nobody is known."""
        return use_of(self._store, self.get(request))

    def list(self, request: control_pb2.ListNetworksRequest) -> Iterator[list[Network]]:
        """Networks that match, those of every node first."""
        return listing.networks(self._store, BUILTIN.values(), request)

    async def create(self, request: control_pb2.CreateNetworkRequest) -> Network:
        """A new network; EXISTS if the name is taken, REFUSED if a subnet is."""
        request_id = needed_request_id(request.request_id)
        done = self._store.applied_request(request_id)
        if done is not None:
            return self._answer(done.object_id)
        validate.network_spec(request.spec)
        made = Network(id=self._ids(), spec=request.spec)
        applied = await propose_one(
            self._proposer, batch(create(made)), request_id=request_id, object_id=made.id
        )
        return self._answer(applied.object_id)

    async def update(self, request: control_pb2.UpdateNetworkRequest) -> Network:
        """Other labels and further subnets for the one that has `version`; CONFLICT if that has
        passed, as it does with each address that comes to rest: read it again.
        """
        request_id = needed_request_id(request.request_id)
        done = self._store.applied_request(request_id)
        if done is not None:
            return self._answer(done.object_id)
        network = self._own(request.key)
        if request.version != network.meta.version:
            raise stale(f"network {network.spec.annotations.name}", network.meta.version)
        validate.network_spec(request.spec)
        _check_unchangeable(network.spec, request.spec)
        changed = copy(network)
        changed.spec.CopyFrom(request.spec)
        await propose_one(
            self._proposer, batch(update(changed)), request_id=request_id, object_id=network.id
        )
        return self._answer(network.id)

    async def remove(self, request: control_pb2.RemoveRequest) -> control_pb2.RemoveResponse:
        """Removes a network; REFUSED with what uses it."""
        request_id = needed_request_id(request.request_id)
        while True:
            done = self._store.applied_request(request_id)
            if done is not None:
                return control_pb2.RemoveResponse(id=done.object_id)
            network = self._own(request.key)
            users = users_of(self._store, network)
            if users:
                raise in_use(network, users)
            try:
                await propose_one(
                    self._proposer,
                    batch(delete(network)),
                    request_id=request_id,
                    object_id=network.id,
                )
            except SwarmError as error:
                # Removing is meant whatever came to rest in it meanwhile.
                if error.code is Code.CONFLICT:
                    continue
                raise
            return control_pb2.RemoveResponse(id=network.id)

    def _own(self, key: str) -> Network:
        if key in BUILTIN:
            raise SwarmError(
                Code.REFUSED,
                f"network {key} cannot be changed or removed",
                why="every node has it by itself",
            )
        return resolve(self._store, Network, key)

    def _answer(self, network_id: str) -> Network:
        network = self._store.get(Network, network_id)
        if network is None:
            raise SwarmError(
                Code.NOT_FOUND,
                f"network {network_id} was removed since this request was carried out",
            )
        return network


def gone_with(view: View, obj: objects_pb2.Service | objects_pb2.Node) -> Iterator[Change]:
    """What the removal of a service or node changes in networks: its addresses come to rest."""
    for network_id, addresses in addresses_of(obj).items():
        network = view.get(Network, network_id)
        if network is not None:
            yield update(at_rest(network, map(bare, addresses)))


def use_of(view: View, network: Network) -> control_pb2.NetworkUse:
    """Services with their tasks, containers, then nodes; and how many addresses are held."""
    use = control_pb2.NetworkUse(network_id=network.id)
    rows: dict[str, control_pb2.NetworkUser] = {}
    for service in view.services_of_network(network.id):
        virtual = addresses_of(service).get(network.id, ())
        rows[service.id] = use.services.add(
            id=service.id,
            name=service.spec.annotations.name,
            addresses=virtual,
            ports=service.endpoint.ports if network.spec.ingress else (),
        )
    for task in view.tasks_of_network(network.id):
        if task.spec.HasField("attachment"):
            use.containers.add(
                id=task.spec.attachment.container_id,
                name=task_name(task),
                node_id=task.node_id,
                addresses=addresses_of(task)[network.id],
            )
            continue
        row = rows.get(task.service_id)
        if row is None:
            row = rows[task.service_id] = use.services.add(
                id=task.service_id, name=task.service_name
            )
        addresses = addresses_of(task)[network.id]
        row.tasks.add(id=task.id, name=task_name(task), node_id=task.node_id, addresses=addresses)
    for node in view.all(objects_pb2.Node):
        own = addresses_of(node).get(network.id)
        if own:
            use.nodes.add(id=node.id, name=node.description.hostname, addresses=own)
    _count(use, network)
    return use


def _count(use: control_pb2.NetworkUse, network: Network) -> None:
    room = Room(network.pools)
    held = [text for user in (*use.services, *use.nodes) for text in user.addresses]
    held += [text for container in use.containers for text in container.addresses]
    held += [text for each in use.services for task in each.tasks for text in task.addresses]
    for text in (*held, *(each.address for each in network.resting)):
        room.take(parsed(text))
    use.addresses_held, use.addresses = room.usage(V4)
    use.addresses_resting = sum(parsed(r.address).family == V4 for r in network.resting)


def _check_unchangeable(old: specs_pb2.NetworkSpec, new: specs_pb2.NetworkSpec) -> None:
    """INVALID if anything changes but labels, or if a subnet goes."""
    same = specs_pb2.NetworkSpec()
    same.CopyFrom(new)
    same.annotations.labels.clear()
    before = specs_pb2.NetworkSpec()
    before.CopyFrom(old)
    before.annotations.labels.clear()
    if list(new.pools)[: len(old.pools)] != list(old.pools):
        raise invalid(
            "pools", "a subnet of a network cannot change or go", remedy="add further ones"
        )
    del same.pools[:], before.pools[:]
    if same != before:
        raise invalid(
            "spec",
            "only labels and further subnets of a network can change",
            remedy="create another one, and update the services that use this one",
        )
