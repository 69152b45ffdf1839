"""What the events of the swarm itself tell. That a token or key was replaced, never which it is."""

from collections.abc import Sequence

from api.v1 import objects_pb2
from manager.events.parts import CHANGED, touched
from manager.events.steps import Attributes, Step, changed, shown

UPDATE_TELLS = (
    "autolock.old",
    "autolock.new",
    "unlockkey",
    "token.worker",
    "token.manager",
    "rootca",
    CHANGED,
)
_ROTATED = "rotated"


def updates(old: objects_pb2.Cluster, new: objects_pb2.Cluster) -> Sequence[Step]:
    """One event, unless only the swarm's own notes have changed."""
    told = {
        **changed("autolock", shown(old.spec.autolock), shown(new.spec.autolock)),
        **_replaced("unlockkey", old.unlock_key, new.unlock_key),
        **_replaced("token.worker", old.root_ca.worker_token, new.root_ca.worker_token),
        **_replaced("token.manager", old.root_ca.manager_token, new.root_ca.manager_token),
        **_root(old.root_ca, new.root_ca),
        **touched(old.spec, new.spec),
    }
    return (Step("update", told),) if told else ()


def _replaced(name: str, old: str | bytes, new: str | bytes) -> Attributes:
    """Only where there is one before and after: that autolock came is told as such."""
    return {name: _ROTATED} if old and new and old != new else {}


def _root(old: objects_pb2.RootCa, new: objects_pb2.RootCa) -> Attributes:
    if new.rotation.id != old.rotation.id and new.rotation.id:
        return {"rootca": "rotating"}
    return _replaced("rootca", old.certificate_pem, new.certificate_pem)
