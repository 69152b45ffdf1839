"""What the store refuses of a batch: what is stale, what is taken, and what does not go together
with what is there. Pure; changes nothing.
"""

from typing import TYPE_CHECKING, Any

from api.errors import Code, SwarmError
from api.v1 import objects_pb2
from manager.state.changes import KINDS, Action, Batch, Change, StoredObject
from manager.state.files import refusal_of_files
from manager.state.indexes import name_of
from manager.state.networks import refusal_of_networks
from manager.state.volumes import refusal_of_volumes

if TYPE_CHECKING:
    from manager.state.store import View


def refusal_of(view: "View", each: Batch) -> SwarmError | None:
    """Why the batch cannot be applied now, or None."""
    if len(each.changes) > 1 and (twice := _changed_twice(each)):
        return SwarmError(
            Code.INTERNAL,
            f"a change names {twice} twice",
            why="which of the two holds could not be told",
            remedy="report it as a defect",
        )
    for change in each.changes:
        refusal = _refuse_change(view, change, each)
        if refusal is not None:
            return refusal
    return None


def _refuse_change(view: "View", change: Change, among: Batch) -> SwarmError | None:
    obj = change.object
    kind: Any = type(obj)
    stored: StoredObject | None = view.get(kind, obj.id)
    if change.action is Action.CREATE:
        if stored is not None:
            return SwarmError(Code.EXISTS, f"{KINDS[kind]} {obj.id} exists")
    elif stored is None:
        return SwarmError(Code.NOT_FOUND, f"{KINDS[kind]} {obj.id} does not exist any more")
    elif stored.meta.version != obj.meta.version:
        return SwarmError(
            Code.CONFLICT,
            f"{KINDS[kind]} {obj.id} was changed meanwhile",
            why=f"it is at version {stored.meta.version}, not {obj.meta.version}",
            remedy="read it again and repeat the change",
        )
    if isinstance(obj, objects_pb2.Task):  # as most are; of all this only volumes bind them
        return refusal_of_volumes(view, change, among)
    if change.action is not Action.DELETE and (taken := _refuse_name(view, obj)) is not None:
        return taken
    return (
        refusal_of_files(view, change)
        or refusal_of_networks(view, change)
        or refusal_of_volumes(view, change, among)
    )


def _refuse_name(view: "View", obj: StoredObject) -> SwarmError | None:
    name = name_of(obj)
    if name is None:
        return None
    kind: Any = type(obj)
    other: StoredObject | None = view.named(kind, name)
    if other is None or other.id == obj.id:
        return None
    return SwarmError(
        Code.EXISTS,
        f"name {name} is in use by another {KINDS[kind]}",
        remedy="choose another name, or update the existing one",
    )


def _changed_twice(each: Batch) -> str:
    """The object or new name that two changes of the batch are about; empty if there is none."""
    seen: set[tuple[type[StoredObject], str, str]] = set()
    for change in each.changes:
        obj = change.object
        kind, word, name = type(obj), KINDS[type(obj)], name_of(obj)
        keys = [(kind, "", obj.id)]
        if name is not None and change.action is not Action.DELETE:
            keys.append((kind, "name ", name))
        for key in keys:
            if key in seen:
                return f"{word} {key[1]}{key[2]}"
            seen.add(key)
    return ""
