"""What operators may do with secrets and configs. A secret's data leaves in no answer.

Their data never changes: who wants other data makes another one, and updates the services that use
the old one. So a task always finds what it was made for.
"""

import asyncio
from collections.abc import Iterator
from typing import Generic, TypeVar

from api import payloads, validate
from api.errors import Code, SwarmError, invalid
from api.ids import IdSource
from api.v1 import control_pb2, objects_pb2, specs_pb2
from manager.control import listing
from manager.control.requests import needed_request_id, stale
from manager.control.resolve import resolve
from manager.state.changes import KINDS, batch, copy, create, delete, update
from manager.state.files import in_use
from manager.state.proposer import Proposer, propose_one
from manager.state.store import Store

F = TypeVar("F", objects_pb2.Secret, objects_pb2.Config)


class Files(Generic[F]):
    """Create, read, update and remove objects of one of the two kinds."""

    def __init__(self, kind: type[F], store: Store, proposer: Proposer, ids: IdSource) -> None:
        self._kind: type[F] = kind
        self._store = store
        self._proposer = proposer
        self._ids = ids

    def get(self, request: control_pb2.GetRequest) -> F:
        """One of them."""
        return _shown(resolve(self._store, self._kind, request.key))

    def list(self, request: control_pb2.ListFilesRequest) -> Iterator[list[F]]:
        """Those that match, piece by piece, without their data: many of them would be too much."""
        found = listing.files(self._store, self._kind, request)
        return ([_without_data(file) for file in piece] for piece in found)

    async def create(
        self, request: control_pb2.CreateSecretRequest | control_pb2.CreateConfigRequest
    ) -> F:
        """A new one; EXISTS if the name is taken."""
        request_id = needed_request_id(request.request_id)
        done = self._store.applied_request(request_id)
        if done is not None:
            return self._answer(done.object_id)
        await _check(request.spec)
        made = self._kind(id=self._ids())
        made.spec.annotations.CopyFrom(request.spec.annotations)
        made.spec.data = request.spec.data
        made.spec.template_driver = request.spec.template_driver
        applied = await propose_one(
            self._proposer, batch(create(made)), request_id=request_id, object_id=made.id
        )
        return self._answer(applied.object_id)

    async def update(
        self, request: control_pb2.UpdateSecretRequest | control_pb2.UpdateConfigRequest
    ) -> F:
        """Other labels for the one that has `version`; CONFLICT if somebody was faster."""
        request_id = needed_request_id(request.request_id)
        done = self._store.applied_request(request_id)
        if done is not None:
            return self._answer(done.object_id)
        file = resolve(self._store, self._kind, request.key)
        changed = copy(file)
        _relabel(changed.spec, request.spec, KINDS[self._kind])
        if request.version != file.meta.version:
            name = file.spec.annotations.name
            raise stale(f"{KINDS[self._kind]} {name}", file.meta.version)
        await propose_one(
            self._proposer, batch(update(changed)), request_id=request_id, object_id=file.id
        )
        return self._answer(file.id)

    async def remove(self, request: control_pb2.RemoveRequest) -> control_pb2.RemoveResponse:
        """Removes it; REFUSED with the names of the services or volumes that use it."""
        request_id = needed_request_id(request.request_id)
        done = self._store.applied_request(request_id)
        if done is not None:
            return control_pb2.RemoveResponse(id=done.object_id)
        file = resolve(self._store, self._kind, request.key)
        refusal = in_use(self._store, file)
        if refusal is not None:
            raise refusal
        await propose_one(
            self._proposer, batch(delete(file)), request_id=request_id, object_id=file.id
        )
        return control_pb2.RemoveResponse(id=file.id)

    def _answer(self, file_id: str) -> F:
        file = self._store.get(self._kind, file_id)
        if file is None:
            raise SwarmError(
                Code.NOT_FOUND,
                f"{KINDS[self._kind]} {file_id} was removed since this request was carried out",
            )
        return _shown(file)


async def _check(spec: specs_pb2.SecretSpec | specs_pb2.ConfigSpec) -> None:
    if isinstance(spec, specs_pb2.SecretSpec):
        validate.secret_spec(spec)
    else:
        validate.config_spec(spec)
    if spec.template_driver:
        # A second's work if it is large and made so that it is.
        await asyncio.to_thread(payloads.check, spec.data, spec.template_driver)


def _relabel(
    spec: specs_pb2.SecretSpec | specs_pb2.ConfigSpec,
    wanted: specs_pb2.SecretSpec | specs_pb2.ConfigSpec,
    word: str,
) -> None:
    """Takes over the labels; INVALID if anything else is other than it was."""
    for field, same in (
        ("annotations.name", wanted.annotations.name == spec.annotations.name),
        ("data", wanted.data in (b"", spec.data)),
        ("template_driver", wanted.template_driver == spec.template_driver),
    ):
        if not same:
            raise invalid(
                field,
                f"only the labels of a {word} can change",
                remedy=f"create another {word}, and update the services that use this one",
            )
    validate.labels("annotations.labels", wanted.annotations.labels)
    spec.annotations.CopyFrom(wanted.annotations)


def _shown(file: F) -> F:
    return _without_data(file) if isinstance(file, objects_pb2.Secret) else file


def _without_data(file: F) -> F:
    shown = type(file)(id=file.id, meta=file.meta)
    shown.spec.annotations.CopyFrom(file.spec.annotations)
    shown.spec.template_driver = file.spec.template_driver
    return shown
