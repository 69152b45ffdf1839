"""What operators may do with volumes: checks, then one proposal; a retry has no second effect.

Who holds a volume is the scheduler's affair, and when a hold ends that of leases (manager/volumes);
`force_release` alone ends one by the operator's word.
"""

from collections.abc import Iterable

from api import validate
from api.errors import Code, SwarmError, invalid
from api.ids import IdSource
from api.v1 import control_pb2, objects_pb2, specs_pb2
from api.volumes import driver_of, term_of
from manager.control.requests import needed_request_id, stale
from manager.control.resolve import resolve
from manager.state.changes import Batch, batch, copy, create, delete, update
from manager.state.proposer import Proposer, propose_one
from manager.state.store import Store
from manager.state.volumes import ended, in_use, node_name, users_of, without
from manager.volumes.drivers import Drivers
from manager.volumes.orders import has_to_be_deleted
from manager.volumes.transfers import dropped

Volume = objects_pb2.Volume


class Volumes:
    """Create, update, remove and free volumes of the swarm."""

    def __init__(self, store: Store, proposer: Proposer, ids: IdSource) -> None:
        self._store = store
        self._proposer = proposer
        self._ids = ids

    async def create(self, request: control_pb2.CreateVolumeRequest) -> Volume:
        """A new volume; EXISTS if the name is taken."""
        request_id = needed_request_id(request.request_id)
        done = self._store.applied_request(request_id)
        if done is not None:
            return self._answer(done.object_id)
        validate.volume_spec(request.spec)
        self._check_driver(request.spec)
        made = Volume(id=self._ids(), spec=request.spec)
        applied = await propose_one(
            self._proposer, batch(create(made)), request_id=request_id, object_id=made.id
        )
        return self._answer(applied.object_id)

    async def update(self, request: control_pb2.UpdateVolumeRequest) -> Volume:
        """Another availability, group, labels or term for the one that has `version`.

        CONFLICT if that has passed, as it does with each node that comes to hold it: read it again.
        """
        request_id = needed_request_id(request.request_id)
        done = self._store.applied_request(request_id)
        if done is not None:
            return self._answer(done.object_id)
        volume = resolve(self._store, Volume, request.key)
        if request.version != volume.meta.version:
            raise stale(f"volume {volume.spec.annotations.name}", volume.meta.version)
        validate.volume_spec(request.spec)
        self._check_changeable(volume, request.spec)
        changed = copy(volume)
        changed.spec.CopyFrom(request.spec)
        return await self._write(batch(update(changed)), request_id, volume.id)

    async def remove(self, request: control_pb2.RemoveRequest) -> control_pb2.RemoveResponse:
        """Removes a volume; REFUSED with what uses it.

        What a driver has to delete is gone once it has; with `force` nobody waits for that, and
        what is at the storage stays there; what is done with its data is given up.
        """
        request_id = needed_request_id(request.request_id)
        while True:
            done = self._store.applied_request(request_id)
            if done is not None:
                return control_pb2.RemoveResponse(id=done.object_id)
            volume = resolve(self._store, Volume, request.key)
            given_up = dropped(volume, "it is being removed") if request.force else None
            users = users_of(self._store, volume if given_up is None else given_up)
            if users:
                raise in_use(volume, users)
            try:
                if given_up is not None:
                    await propose_one(self._proposer, batch(update(given_up)))
                    continue
                await propose_one(
                    self._proposer,
                    self._removal(volume, at_once=request.force),
                    request_id=request_id,
                    object_id=volume.id,
                )
            except SwarmError as error:
                # Removing is meant whatever was noted of it meanwhile.
                if error.code is Code.CONFLICT:
                    continue
                raise
            return control_pb2.RemoveResponse(id=volume.id)

    async def force_release(self, request: control_pb2.ForceReleaseVolumeRequest) -> Volume:
        """Nobody holds it any more, or not that node; its tasks there are ended, as far as anybody
        hears. REFUSED if nobody holds it.
        """
        request_id = needed_request_id(request.request_id)
        node_id = ""
        if request.node_key:
            node_id = resolve(self._store, objects_pb2.Node, request.node_key).id
        while True:
            done = self._store.applied_request(request_id)
            if done is not None:
                return self._answer(done.object_id)
            volume = resolve(self._store, Volume, request.key)
            freed = _freed(volume, node_id)
            if freed is None:
                raise self._not_held(volume, node_id)
            try:
                return await self._write(batch(update(freed)), request_id, volume.id)
            except SwarmError as error:
                if error.code is not Code.CONFLICT:
                    raise

    def _removal(self, volume: Volume, *, at_once: bool) -> Batch:
        if at_once or not has_to_be_deleted(volume, self._drivers()):
            return batch(delete(volume))
        changed = copy(volume)
        changed.removing = True
        return batch(update(changed))

    def _drivers(self) -> Drivers:
        drivers = Drivers()
        for node in self._store.all(objects_pb2.Node):
            drivers.put(node.id, node)
        return drivers

    def _check_driver(self, spec: specs_pb2.VolumeSpec) -> None:
        """INVALID if it names no secret, or wants of its driver what that is never told."""
        for index, each in enumerate(spec.secrets):
            if self._store.named(objects_pb2.Secret, each.secret) is None:
                raise invalid(
                    f"secrets[{index}].secret",
                    f"there is no secret {each.secret!r}",
                    remedy="create it first: swarmctl secret create",
                )
        drivers, name = self._drivers(), driver_of(spec)
        if not drivers.any_is(name) or drivers.any_creates(name):
            return  # a driver that no node has yet may be of any kind
        for field in ("required_bytes", "limit_bytes", "topology_preferred"):
            if getattr(spec, field):
                raise invalid(
                    field,
                    f"driver {name} is not told of it",
                    why="its volumes come into being where they are first mounted",
                    remedy="leave it out, or say it in the driver's own words: --opt",
                )

    async def _write(self, what: Batch, request_id: str, volume_id: str) -> Volume:
        await propose_one(self._proposer, what, request_id=request_id, object_id=volume_id)
        return self._answer(volume_id)

    def _not_held(self, volume: Volume, node_id: str) -> SwarmError:
        whom = (
            f"node {node_name(self._store, node_id)} does not hold" if node_id else "no node holds"
        )
        return SwarmError(
            Code.REFUSED,
            f"{whom} volume {volume.spec.annotations.name}",
            remedy=f"see who does: swarmctl volume inspect {volume.spec.annotations.name}",
        )

    def _check_changeable(self, volume: Volume, new: specs_pb2.VolumeSpec) -> None:
        """INVALID if anything changes that a driver has made, or what a lease was counted by."""
        old = volume.spec
        if volume.holders and term_of(new) != term_of(old):
            names = ", ".join(node_name(self._store, each.node_id) for each in volume.holders)
            raise invalid(
                "lease_term",
                "the term cannot change while the volume is held",
                why=f"node {names} counts by the present one",
                remedy="stop the tasks that use it first",
            )
        before, after = specs_pb2.VolumeSpec(), specs_pb2.VolumeSpec()
        for spec, given in ((before, old), (after, new)):
            spec.CopyFrom(given)
            spec.annotations.labels.clear()
            for name in ("availability", "group", "lease_term"):
                spec.ClearField(name)
        if before != after:
            raise invalid(
                "spec",
                f"{_listed(before, after)} of a volume cannot change",
                remedy="create another one, and update the services that use this one",
            )

    def _answer(self, volume_id: str) -> Volume:
        volume = self._store.get(Volume, volume_id)
        if volume is None:
            raise SwarmError(
                Code.NOT_FOUND,
                f"volume {volume_id} was removed since this request was carried out",
            )
        return volume


def _freed(volume: Volume, node_id: str) -> Volume | None:
    """The volume without the holds of this node, or of all ("").

    What its driver has yet to close goes on to be closed; asked again, it is given up as it is.
    """
    freed: Volume | None = None
    for each in volume.holders:
        if not node_id or each.node_id == node_id:
            now = freed or volume
            freed = ended(now, each.node_id, each.epoch) or without(now, each.node_id, each.epoch)
    return freed


def _listed(before: specs_pb2.VolumeSpec, after: specs_pb2.VolumeSpec) -> str:
    names: Iterable[str] = [field.name for field in before.DESCRIPTOR.fields]
    different = [name for name in names if getattr(before, name) != getattr(after, name)]
    return " and ".join(name.replace("annotations", "name").replace("_", " ") for name in different)
