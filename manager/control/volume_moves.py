"""What operators may ask for data that is on one node alone: that it moves, is saved, or restored.

Checks, then one proposal; what follows from that is in manager.volumes.transfers.
"""

from collections import Counter

from api import validate
from api.errors import Code, SwarmError, invalid
from api.ids import IdSource
from api.v1 import control_pb2, objects_pb2, specs_pb2, types_pb2, volume_pb2
from api.volumes import LOCAL, driver_of
from manager.control.requests import needed_request_id
from manager.control.resolve import resolve
from manager.state.changes import Batch, batch, copy, create, update
from manager.state.proposer import Proposer, propose_one
from manager.state.store import Store
from manager.state.volumes import node_name
from manager.volumes.transfers import dropped, forgotten

Node = objects_pb2.Node
Transfer = objects_pb2.VolumeTransfer
Volume = objects_pb2.Volume


class VolumeMoves:
    """Begins transfers of volumes, and gives them up."""

    def __init__(self, store: Store, proposer: Proposer, ids: IdSource) -> None:
        self._store = store
        self._proposer = proposer
        self._ids = ids

    async def migrate(self, request: control_pb2.MigrateVolumeRequest) -> Volume:
        """Its data begins to move; without a node, what moves stays where it is.

        REFUSED where it cannot be moved; nothing happens if it is there already.
        """
        request_id = needed_request_id(request.request_id)
        while True:
            done = self._store.applied_request(request_id)
            if done is not None:
                return self._the(done.object_id)
            volume = resolve(self._store, Volume, request.key)
            if request.force:
                change = _forgotten(volume, request.node_key)
            else:
                moved = self._moved(volume, request.node_key)
                if moved is None:
                    return volume
                change = batch(update(moved))
            try:
                await self._write(change, request_id, volume.id)
            except SwarmError as error:
                if error.code is not Code.CONFLICT:
                    raise

    async def save(self, request: volume_pb2.BackupVolumeRequest) -> Volume:
        """An operator is about to take in what is in it; REFUSED while a node holds it, but for
        `stop` and `live`.
        """
        if request.stop and request.live:
            raise invalid("live", "tasks are either stopped or left alone")
        while True:
            volume = resolve(self._store, Volume, request.key)
            changed = self._saved(volume, request)
            try:
                await self._write(batch(update(changed)), self._ids(), changed.id)
            except SwarmError as error:
                if error.code is not Code.CONFLICT:
                    raise
            else:
                return changed

    async def restore(self, head: volume_pb2.RestoreVolumeHead) -> Volume:
        """A volume that nobody can use yet; EXISTS if its name is taken."""
        validate.volume_spec(head.spec)
        _check_local(head.spec)
        node = self._target(head.node_key) if head.node_key else self._any_node()
        made = Volume(id=self._ids(), spec=head.spec)
        made.transfer.CopyFrom(
            Transfer(
                id=self._ids(), kind=Transfer.KIND_RESTORE, node_id=node.id, devices=head.devices
            )
        )
        await propose_one(
            self._proposer, batch(create(made)), request_id=self._ids(), object_id=made.id
        )
        return made

    async def give_up(self, volume_id: str, transfer_id: str, why: str) -> None:
        """Nobody waits for that transfer any more; nothing happens if it is over."""
        while True:
            volume = self._store.get(Volume, volume_id)
            if volume is None or volume.transfer.id != transfer_id:
                return
            changed = dropped(volume, why)
            if changed is None:
                return
            try:
                await propose_one(self._proposer, batch(update(changed)))
            except SwarmError as error:
                if error.code is not Code.CONFLICT:
                    raise

    def _moved(self, volume: Volume, node_key: str) -> Volume | None:
        name = volume.spec.annotations.name
        if not node_key:
            return self._stays(volume)
        node = self._target(node_key)
        going = volume.HasField("transfer") and volume.transfer.kind == Transfer.KIND_MIGRATE
        if volume.home == node.id and not going:
            return None
        if going and volume.transfer.node_id == node.id:
            return None
        self._check_free(volume)
        changed = copy(volume)
        if not volume.home:
            changed.home = node.id  # there is no data yet: it comes into being there
            return changed
        if self._store.get(Node, volume.home) is None:
            raise SwarmError(
                Code.REFUSED,
                f"volume {name} cannot be moved",
                why="the node where its data was is no more part of the swarm",
                remedy="restore it from a backup: swarmctl volume restore",
            )
        changed.transfer.CopyFrom(
            Transfer(id=self._ids(), kind=Transfer.KIND_MIGRATE, node_id=node.id)
        )
        return changed

    def _stays(self, volume: Volume) -> Volume:
        is_moved = volume.transfer.kind == Transfer.KIND_MIGRATE
        stays = dropped(volume, "") if is_moved else None
        if stays is None:
            raise SwarmError(
                Code.REFUSED,
                f"volume {volume.spec.annotations.name} is not being moved",
                remedy="to move it, say which node: swarmctl volume migrate VOLUME NODE",
            )
        return stays

    def _saved(self, volume: Volume, request: volume_pb2.BackupVolumeRequest) -> Volume:
        name = volume.spec.annotations.name
        self._check_free(volume)
        home = self._store.get(Node, volume.home) if volume.home else None
        if home is None or home.status.state == types_pb2.NODE_STATE_DOWN:
            where = f"node {node_name(self._store, volume.home)} does not answer"
            raise SwarmError(
                Code.REFUSED,
                f"volume {name} cannot be saved",
                why=where if volume.home else "it was never used: no node has any data of it",
            )
        if volume.holders and not (request.stop or request.live):
            holders = ", ".join(node_name(self._store, each.node_id) for each in volume.holders)
            raise SwarmError(
                Code.REFUSED,
                f"volume {name} is in use",
                why=f"tasks on node {holders} may write while it is read",
                remedy="--stop ends them for as long as it takes; --live reads beside them, which "
                "gives at best what a crash would leave",
            )
        changed = copy(volume)
        changed.transfer.CopyFrom(
            Transfer(id=self._ids(), kind=Transfer.KIND_BACKUP, node_id=home.id, live=request.live)
        )
        return changed

    def _check_free(self, volume: Volume) -> None:
        """REFUSED if it is of another driver, or something is under way with it."""
        _check_local(volume.spec)
        name = volume.spec.annotations.name
        if volume.removing:
            raise SwarmError(Code.REFUSED, f"volume {name} is being removed")
        if volume.HasField("transfer"):
            transfer = volume.transfer
            where = node_name(self._store, transfer.node_id)
            why = {
                Transfer.KIND_MIGRATE: f"its data moves to node {where}",
                Transfer.KIND_BACKUP: "its data is being saved",
                Transfer.KIND_RESTORE: f"its data is being restored on node {where}",
                Transfer.KIND_CLEAR: f"node {where} has yet to delete an older copy of its data",
            }[transfer.kind]
            remedy = f"wait for it; see: swarmctl volume inspect {name}"
            if transfer.kind == Transfer.KIND_CLEAR:
                remedy += f"; to let it lie there: swarmctl volume migrate --cancel --force {name}"
            raise SwarmError(
                Code.REFUSED,
                f"something is done with volume {name} already",
                why=why + (f": {transfer.error}" if transfer.error else ""),
                remedy=remedy,
            )

    def _target(self, key: str) -> Node:
        node = resolve(self._store, Node, key)
        if not _is_able(node):
            raise SwarmError(
                Code.REFUSED,
                f"node {node_name(self._store, node.id)} cannot take a volume",
                why="it is down, or has no driver local",
                remedy="see: swarmctl node ls",
            )
        return node

    def _any_node(self) -> Node:
        """The one of those that may get tasks which has the fewest volumes."""
        homes = Counter(each.home for each in self._store.all(Volume))
        active = types_pb2.NODE_AVAILABILITY_ACTIVE
        able = [n for n in self._store.all(Node) if _is_able(n) and n.spec.availability == active]
        if not able:
            raise SwarmError(
                Code.REFUSED,
                "no node can take a volume",
                why="none is up, active, and has driver local",
                remedy="say which one: --node NODE",
            )
        return min(able, key=lambda each: (homes[each.id], each.id))

    async def _write(self, change: Batch, request_id: str, volume_id: str) -> None:
        await propose_one(self._proposer, change, request_id=request_id, object_id=volume_id)

    def _the(self, volume_id: str) -> Volume:
        return resolve(self._store, Volume, volume_id)


def _forgotten(volume: Volume, node_key: str) -> Batch:
    name = volume.spec.annotations.name
    if node_key:
        raise invalid("force", "a move is given up, or it is to a node")
    change = forgotten(volume)
    if change is None:
        raise SwarmError(
            Code.REFUSED,
            f"volume {name} is not being moved, and no older copy of its data is waited for",
        )
    return change


def _check_local(spec: specs_pb2.VolumeSpec) -> None:
    """UNSUPPORTED unless its data is in a folder of one node."""
    name = spec.annotations.name
    if driver_of(spec) != LOCAL:
        raise SwarmError(
            Code.UNSUPPORTED,
            f"volume {name} is of driver {driver_of(spec)}",
            why="only data of driver local is on one node alone; any other is reached from many",
            remedy="use what its storage has for that",
        )
    if spec.driver_options:
        raise SwarmError(
            Code.UNSUPPORTED,
            f"the data of volume {name} is not in its folder",
            why="its options say what is mounted there",
            remedy="copy it where it is",
        )


def _is_able(node: Node) -> bool:
    is_local = any(each.name == LOCAL for each in node.description.volume_drivers)
    return is_local and node.status.state == types_pb2.NODE_STATE_READY
