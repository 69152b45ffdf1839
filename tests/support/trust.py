"""A cluster's trust in memory: a store with its first objects, a proposer, and credentials by role.

Dates are real, because TLS reads the real clock; `TrustedCluster(now=...)` shifts them.
"""

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from api.channel import CA_SERVER_OPTIONS, SERVER_OPTIONS
from api.identity import Credentials, Role, make_csr, new_key
from api.new_ids import new_id
from api.serving import ErrorInterceptor
from api.v1 import ca_pb2_grpc, objects_pb2, specs_pb2, types_pb2
from manager.ca.authority import sign
from manager.ca.bootstrap import first_objects, new_node
from manager.ca.service import CaService
from manager.state.changes import batch, create, delete
from manager.state.proposer import propose_one
from manager.state.store import Store
from tests.support.direct_proposer import DirectProposer

DAY = 86400.0


class TrustedCluster:
    """A new cluster with one manager."""

    def __init__(self, now: float | None = None) -> None:
        self.now = time.time() if now is None else now
        self.store = Store()
        self.proposer = DirectProposer(self.store, lambda: self.now)
        key = new_key()
        self.id, self.manager_id = new_id(), new_id()
        made = first_objects(
            specs_pb2.ClusterSpec(),
            cluster_id=self.id,
            node_id=self.manager_id,
            csr_pem=make_csr(key),
            now=self.now,
            secret=secrets.token_bytes,
        )
        self.root = objects_pb2.RootCa()
        self.root.CopyFrom(made.cluster.root_ca)
        self.manager = Credentials(key, made.certificate_pem, self.root.certificate_pem)
        self._first = made.batch()

    async def start(self) -> "TrustedCluster":
        """Writes the first objects."""
        await propose_one(self.proposer, self._first)
        return self

    def credentials(
        self, role: Role, object_id: str, *, now: float | None = None, expiry: float = DAY
    ) -> Credentials:
        """Signed by this cluster's root, whether or not the store knows of it."""
        key = new_key()
        certificate = sign(
            self.root,
            make_csr(key),
            node_id=object_id,
            role=role,
            cluster_id=self.id,
            now=self.now if now is None else now,
            expiry=expiry,
        )
        return Credentials(key, certificate, self.root.certificate_pem)

    async def add_node(self, role: Role) -> Credentials:
        """A member with a certificate."""
        node_role = {"worker": types_pb2.NODE_ROLE_WORKER, "manager": types_pb2.NODE_ROLE_MANAGER}
        node = new_node(
            new_id(), node_role[role], types_pb2.NODE_AVAILABILITY_ACTIVE, self.now, key=b"key"
        )
        await propose_one(self.proposer, batch(create(node)))
        return self.credentials(role, node.id)

    async def remove_node(self, node_id: str) -> None:
        """As `node rm` does."""
        node = self.store.get(objects_pb2.Node, node_id)
        assert node is not None
        await propose_one(self.proposer, batch(delete(node)))

    def ca_service(self, **changed: Any) -> CaService:
        """The service of the identity port."""
        arguments: dict[str, Any] = {
            "wall": lambda: self.now,
            "monotonic": time.monotonic,
            "new_id": new_id,
        }
        return CaService(self.store, self.proposer, **(arguments | changed))


@asynccontextmanager
async def serving(
    add: Any,
    service: Any,
    credentials: grpc.ServerCredentials | None = None,
    *,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    address: str = "127.0.0.1:0",
) -> AsyncIterator[int]:
    """A real server with this service; gives its port. Without credentials it is in the clear."""
    options = CA_SERVER_OPTIONS if isinstance(service, CaService) else SERVER_OPTIONS
    server = grpc.aio.server(interceptors=[ErrorInterceptor(), *interceptors], options=options)
    add(service, server)
    if credentials is None:
        port = server.add_insecure_port(address)
    else:
        port = server.add_secure_port(address, credentials)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


def add_handlers(service: tuple[str, dict[str, Any]], server: grpc.aio.Server) -> None:
    """Adds single RPCs: the service's full name, and handlers of api.serving by RPC."""
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(*service),))


def add_ca(service: CaService, server: grpc.aio.Server) -> None:
    """Adds a Ca service, typed for `serving`."""
    ca_pb2_grpc.add_CaServicer_to_server(service, server)
