"""The Control service of api/v1/control.proto: from a call to the function that serves it.

Roles are checked before a call gets here (manager/ca/authorize.py). Keys of the cluster's CA and
logins of registries leave in no answer, join tokens only towards operators and managers, the unlock
key only in its own call.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing

from api.metadata import is_stale_read
from api.serving import Context, caller
from api.v1 import control_pb2, control_pb2_grpc, events_pb2, explain_pb2, objects_pb2
from manager.ca.operators import the_cluster
from manager.control import listing
from manager.control.cluster import ClusterAffairs
from manager.control.events import EventStreams
from manager.control.explaining import Explanations
from manager.control.files import Files
from manager.control.images import without_logins
from manager.control.networks import Networks
from manager.control.pacing import paced
from manager.control.resolve import resolve
from manager.control.services import Services
from manager.control.volume_calls import VolumeCalls
from manager.control.volume_moves import VolumeMoves
from manager.control.volumes import Volumes
from manager.control.watching import watch
from manager.state.changes import StoredObject, copy
from manager.state.store import Store
from manager.state.watch import WatchHub


class ControlService(VolumeCalls, control_pb2_grpc.ControlServicer):
    """Serves operators."""

    def __init__(
        self,
        store: Store,
        hub: WatchHub,
        services: Services,
        affairs: ClusterAffairs,
        secrets: Files[objects_pb2.Secret],
        configs: Files[objects_pb2.Config],
        events: EventStreams,
        networks: Networks,
        volumes: Volumes,
        moves: VolumeMoves,
        group: Callable[[], control_pb2.ManagerGroupStatus],
        explanations: Explanations,
    ) -> None:
        """`group`: how the managers agree, as this one sees it."""
        super().__init__(store, volumes, moves)
        self._store = store
        self._hub = hub
        self._services = services
        self._affairs = affairs
        self._secrets = secrets
        self._configs = configs
        self._events = events
        self._networks = networks
        self._group = group
        self._explanations = explanations

    async def CreateService(
        self, request: control_pb2.CreateServiceRequest, context: Context
    ) -> objects_pb2.Service:
        """Creates a service."""
        return await self._services.create(request)

    async def GetService(
        self, request: control_pb2.GetRequest, context: Context
    ) -> objects_pb2.Service:
        """One service."""
        return without_logins(resolve(self._store, objects_pb2.Service, request.key))

    async def ListServices(
        self, request: control_pb2.ListServicesRequest, context: Context
    ) -> AsyncIterator[control_pb2.ListServicesResponse]:
        """Services with their counts of tasks."""
        async for piece in paced(listing.services(self._store, request), _counted_services):
            yield piece

    async def UpdateService(
        self, request: control_pb2.UpdateServiceRequest, context: Context
    ) -> objects_pb2.Service:
        """Replaces a service's spec."""
        return await self._services.update(request)

    async def RemoveService(
        self, request: control_pb2.RemoveRequest, context: Context
    ) -> control_pb2.RemoveResponse:
        """Removes a service."""
        return await self._services.remove(request)

    async def GetTask(self, request: control_pb2.GetRequest, context: Context) -> objects_pb2.Task:
        """One task."""
        return resolve(self._store, objects_pb2.Task, request.key)

    async def ListTasks(
        self, request: control_pb2.ListTasksRequest, context: Context
    ) -> AsyncIterator[control_pb2.ListTasksResponse]:
        """Tasks, with the history that is kept."""
        found = listing.tasks(self._store, request)
        async for piece in paced(found, lambda some: control_pb2.ListTasksResponse(tasks=some)):
            yield piece

    async def GetNode(self, request: control_pb2.GetRequest, context: Context) -> objects_pb2.Node:
        """One node."""
        return resolve(self._store, objects_pb2.Node, request.key)

    async def ListNodes(
        self, request: control_pb2.ListNodesRequest, context: Context
    ) -> AsyncIterator[control_pb2.ListNodesResponse]:
        """Nodes."""
        found = listing.nodes(self._store, request)
        async for piece in paced(found, lambda some: control_pb2.ListNodesResponse(nodes=some)):
            yield piece

    async def UpdateNode(
        self, request: control_pb2.UpdateNodeRequest, context: Context
    ) -> objects_pb2.Node:
        """Replaces a node's spec."""
        return await self._affairs.update_node(request)

    async def RemoveNode(
        self, request: control_pb2.RemoveRequest, context: Context
    ) -> control_pb2.RemoveResponse:
        """Removes a node."""
        return await self._affairs.remove_node(request)

    async def GetCluster(
        self, request: control_pb2.GetClusterRequest, context: Context
    ) -> objects_pb2.Cluster:
        """The cluster."""
        return _without_secrets(the_cluster(self._store))

    async def UpdateCluster(
        self, request: control_pb2.UpdateClusterRequest, context: Context
    ) -> objects_pb2.Cluster:
        """Replaces the cluster's spec."""
        return _without_secrets(await self._affairs.update_cluster(request))

    async def GetUnlockKey(
        self, request: control_pb2.GetUnlockKeyRequest, context: Context
    ) -> control_pb2.UnlockKey:
        """The key that unlocks managers."""
        return self._affairs.unlock_key()

    async def RotateJoinToken(
        self, request: control_pb2.RotateJoinTokenRequest, context: Context
    ) -> objects_pb2.Cluster:
        """Replaces a join token."""
        return _without_secrets(await self._affairs.rotate_token(request))

    async def RotateRootCa(
        self, request: control_pb2.RotateRootCaRequest, context: Context
    ) -> objects_pb2.Cluster:
        """Begins to replace the root certificate."""
        return _without_secrets(await self._affairs.rotate_root(request))

    async def Backup(
        self, request: control_pb2.BackupRequest, context: Context
    ) -> AsyncIterator[control_pb2.BackupChunk]:
        """The whole state as one sealed file."""
        async for chunk in self._affairs.backup(request):
            yield chunk

    async def CreateOperator(
        self, request: control_pb2.CreateOperatorRequest, context: Context
    ) -> control_pb2.OperatorCredentials:
        """Signs an operator's certificate."""
        return await self._affairs.create_operator(request)

    async def ListOperators(
        self, request: control_pb2.ListOperatorsRequest, context: Context
    ) -> control_pb2.ListOperatorsResponse:
        """Operators whose certificates are valid."""
        return control_pb2.ListOperatorsResponse(operators=self._store.all(objects_pb2.Operator))

    async def RemoveOperator(
        self, request: control_pb2.RemoveRequest, context: Context
    ) -> control_pb2.RemoveResponse:
        """Revokes an operator's certificates."""
        return await self._affairs.remove_operator(request)

    async def CreateSecret(
        self, request: control_pb2.CreateSecretRequest, context: Context
    ) -> objects_pb2.Secret:
        """Creates a secret."""
        return await self._secrets.create(request)

    async def GetSecret(
        self, request: control_pb2.GetRequest, context: Context
    ) -> objects_pb2.Secret:
        """One secret, without its data."""
        return self._secrets.get(request)

    async def ListSecrets(
        self, request: control_pb2.ListFilesRequest, context: Context
    ) -> AsyncIterator[control_pb2.ListSecretsResponse]:
        """Secrets, without their data."""
        found = self._secrets.list(request)
        async for piece in paced(found, lambda some: control_pb2.ListSecretsResponse(secrets=some)):
            yield piece

    async def UpdateSecret(
        self, request: control_pb2.UpdateSecretRequest, context: Context
    ) -> objects_pb2.Secret:
        """Replaces a secret's labels."""
        return await self._secrets.update(request)

    async def RemoveSecret(
        self, request: control_pb2.RemoveRequest, context: Context
    ) -> control_pb2.RemoveResponse:
        """Removes a secret that no service uses."""
        return await self._secrets.remove(request)

    async def CreateConfig(
        self, request: control_pb2.CreateConfigRequest, context: Context
    ) -> objects_pb2.Config:
        """Creates a config."""
        return await self._configs.create(request)

    async def GetConfig(
        self, request: control_pb2.GetRequest, context: Context
    ) -> objects_pb2.Config:
        """One config."""
        return self._configs.get(request)

    async def ListConfigs(
        self, request: control_pb2.ListFilesRequest, context: Context
    ) -> AsyncIterator[control_pb2.ListConfigsResponse]:
        """Configs, without their data."""
        found = self._configs.list(request)
        async for piece in paced(found, lambda some: control_pb2.ListConfigsResponse(configs=some)):
            yield piece

    async def UpdateConfig(
        self, request: control_pb2.UpdateConfigRequest, context: Context
    ) -> objects_pb2.Config:
        """Replaces a config's labels."""
        return await self._configs.update(request)

    async def RemoveConfig(
        self, request: control_pb2.RemoveRequest, context: Context
    ) -> control_pb2.RemoveResponse:
        """Removes a config that no service uses."""
        return await self._configs.remove(request)

    async def CreateNetwork(
        self, request: control_pb2.CreateNetworkRequest, context: Context
    ) -> objects_pb2.Network:
        """Creates a network."""
        return await self._networks.create(request)

    async def GetNetwork(
        self, request: control_pb2.GetRequest, context: Context
    ) -> objects_pb2.Network:
        """One network."""
        return self._networks.get(request)

    async def GetNetworkUse(
        self, request: control_pb2.GetRequest, context: Context
    ) -> control_pb2.NetworkUse:
        """Who is in a network."""
        return self._networks.use(request)

    async def ListNetworks(
        self, request: control_pb2.ListNetworksRequest, context: Context
    ) -> AsyncIterator[control_pb2.ListNetworksResponse]:
        """Networks, with those that every node has by itself."""
        found = self._networks.list(request)
        async for piece in paced(
            found, lambda some: control_pb2.ListNetworksResponse(networks=some)
        ):
            yield piece

    async def UpdateNetwork(
        self, request: control_pb2.UpdateNetworkRequest, context: Context
    ) -> objects_pb2.Network:
        """Adds subnets to a network, or replaces its labels."""
        return await self._networks.update(request)

    async def RemoveNetwork(
        self, request: control_pb2.RemoveRequest, context: Context
    ) -> control_pb2.RemoveResponse:
        """Removes a network that nothing uses."""
        return await self._networks.remove(request)

    async def GetGroup(
        self, request: control_pb2.GetGroupRequest, context: Context
    ) -> control_pb2.ManagerGroupStatus:
        """How the managers agree."""
        return self._group()

    async def Watch(
        self, request: control_pb2.WatchRequest, context: Context
    ) -> AsyncIterator[control_pb2.WatchMessage]:
        """Follows the state."""
        role = caller().role
        async for message in watch(
            self._store, self._hub, request, lambda obj: _redacted(obj, role)
        ):
            yield message

    async def Events(
        self, request: events_pb2.EventsRequest, context: Context
    ) -> AsyncIterator[events_pb2.EventsMessage]:
        """Follows what happens."""
        trusted = caller().role != "worker"
        stale = is_stale_read(context.invocation_metadata())
        messages = self._events.stream(request, trusted=trusted, stale=stale)
        async with aclosing(messages):
            async for message in messages:
                yield message

    async def ExplainTask(
        self, request: explain_pb2.ExplainTaskRequest, context: Context
    ) -> explain_pb2.TaskExplanation:
        """Why a task is where it is."""
        return await self._explanations.task(request)

    async def ExplainService(
        self, request: explain_pb2.ExplainServiceRequest, context: Context
    ) -> explain_pb2.ServiceExplanation:
        """How a service comes along."""
        return await self._explanations.service(request)


def _counted_services(some: Sequence[listing.Counted]) -> control_pb2.ListServicesResponse:
    return control_pb2.ListServicesResponse(
        services=[without_logins(each.service) for each in some],
        counts={each.service.id: each.counts for each in some},
    )


def _redacted(obj: StoredObject, role: str) -> StoredObject:
    if isinstance(obj, objects_pb2.Service):
        return without_logins(obj)
    return _stripped(obj, role) if isinstance(obj, objects_pb2.Cluster) else obj


def _without_secrets(cluster: objects_pb2.Cluster) -> objects_pb2.Cluster:
    return _stripped(cluster, caller().role)


def _stripped(cluster: objects_pb2.Cluster, role: str) -> objects_pb2.Cluster:
    shown = copy(cluster)
    shown.root_ca.ClearField("key_pem")
    if shown.root_ca.HasField("rotation"):
        shown.root_ca.rotation.ClearField("key_pem")
    shown.ClearField("unlock_key")
    if role == "worker":
        shown.root_ca.ClearField("worker_token")
        shown.root_ca.ClearField("manager_token")
    return shown
