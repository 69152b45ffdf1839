"""Managers that come and go, at the leader."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.serving import Caller, set_caller
from api.v1 import objects_pb2, raft_pb2, types_pb2
from manager.group.group import Group
from manager.group.service import ManagerGroupService
from manager.state.changes import Applied, Batch, create
from manager.state.proposer import ATTEMPTS
from tests.support.builders import EPOCH, node
from tests.support.direct_proposer import DirectProposer
from tests.support.node_group import group
from tests.support.sealed_store import SealedStore


class Busy(DirectProposer):
    """Somebody else is always faster, the first `times`."""

    def __init__(self, store: SealedStore, times: int) -> None:
        super().__init__(store, lambda: EPOCH)
        self.left = times

    async def propose(
        self, batches: Sequence[Batch], *, request_id: str = "", object_id: str = ""
    ) -> Applied:
        self.left -= 1
        if self.left >= 0:
            return Applied(0, (SwarmError(Code.CONFLICT, "it was changed meanwhile"),))
        return await super().propose(batches)


@pytest.mark.parametrize("times", [0, ATTEMPTS - 1, ATTEMPTS])
def test_a_manager_has_left_once_its_node_is_to_be_a_worker(tmp_path: Path, times: int) -> None:
    async def scenario() -> None:
        store = SealedStore()
        manager = node("node9")
        manager.spec.role = types_pb2.NODE_ROLE_MANAGER
        store.must(create(manager), now=EPOCH)
        context: Any = None
        set_caller(Caller(id="node9", role="manager", cluster_id="c", via="tls"))
        async with group(tmp_path, 1) as g:
            service = ManagerGroupService(store, Busy(store, times), Group(g[1]))
            leaving = service.Leave(raft_pb2.LeaveGroupRequest(), context)
            if times == ATTEMPTS:
                with pytest.raises(SwarmError) as refused:
                    await leaving
                assert refused.value.code is Code.CONFLICT
            else:
                await leaving
        left = store.get(objects_pb2.Node, "node9")
        assert left is not None
        assert (left.spec.role == types_pb2.NODE_ROLE_WORKER) == (times < ATTEMPTS)

    asyncio.run(scenario())
