"""Commands that move a Ready through its steps, and messages over the wire."""

from api.v1.raft_pb2 import RaftMessage
from tests.support.raft_script.cluster import Cluster
from tests.support.raft_script.registry import handles
from tests.support.raft_script.script import Command
from tests.support.raft_script.words import message_text

_FIELDS = {
    "term": "term",
    "index": "index",
    "log-term": "log_term",
    "commit": "commit",
    "hint": "reject_hint",
}


@handles("ready")
def _ready(cluster: Cluster, command: Command) -> None:
    """`ready 1`: takes the next Ready; what may leave early is sent."""
    host = cluster.host(command.member)
    if not host.node.has_ready():
        cluster.say(f"{host.id} has none")
        return
    cluster.take(host, messages=True)


@handles("persist")
def _persist(cluster: Cluster, command: Command) -> None:
    """`persist 1`: the Ready that was taken is on the disk; its late messages are sent."""
    cluster.persist(cluster.host(command.member))


@handles("apply")
def _apply(cluster: Cluster, command: Command) -> None:
    """`apply 1`: what the Ready commits is applied, and the Ready is done."""
    cluster.host(command.member).apply()


@handles("process")
def _process(cluster: Cluster, command: Command) -> None:
    """`process [1 2]`: ready, persist and apply until there is nothing more to do."""
    for host in cluster.chosen(command.ids):
        cluster.process(host, messages=True)


@handles("deliver")
def _deliver(cluster: Cluster, command: Command) -> None:
    """`deliver [from=1] [to=2,3] [type=append] [n=1]`: of what is under way now."""
    cluster.deliver(cluster.wire.select(command.options))


@handles("drop")
def _drop(cluster: Cluster, command: Command) -> None:
    """`drop`, with the words of `deliver`: these messages are lost."""
    found = cluster.wire.select(command.options)
    cluster.wire.take(found)
    for message in found:
        cluster.say(f"lost {message_text(message)}")


@handles("duplicate")
def _duplicate(cluster: Cluster, command: Command) -> None:
    """`duplicate`, with the words of `deliver`: the wire carries them once more."""
    found = cluster.wire.select(command.options)
    cluster.wire.send(found)
    for message in found:
        cluster.say(f"twice {message_text(message)}")


@handles("settle")
def _settle(cluster: Cluster, command: Command) -> None:
    """`settle [1 2] [quiet]`: works and delivers until nothing moves, among these or all.

    With `quiet` only the state that it ended in is told.
    """
    cluster.settle(command.ids)
    if cluster.quiet:
        cluster.quiet = False
        cluster.show([cluster.host(each) for each in command.ids] or cluster.hosts.values())


@handles("wire")
def _wire(cluster: Cluster, command: Command) -> None:
    """`wire [words of deliver]`: shows what is under way."""
    for message in cluster.wire.select(command.options):
        cluster.say(message_text(message))


@handles("cut")
def _cut(cluster: Cluster, command: Command) -> None:
    """`cut 1 2`: nothing passes between them; `cut 1`: nor between 1 and anybody."""
    one, *others = command.ids
    for other in others or cluster.hosts:
        cluster.wire.cut(one, other)


@handles("heal")
def _heal(cluster: Cluster, command: Command) -> None:
    """`heal`: no link is cut any more."""
    cluster.wire.heal()


@handles("send")
def _send(cluster: Cluster, command: Command) -> None:
    """`send vote from=9 to=2 term=5 index=3 log-term=1 [reject]`: a message out of nowhere."""
    kind = RaftMessage.Type.Value("TYPE_" + command.words[0].upper().replace("-", "_"))
    message = RaftMessage(type=kind, to=command.number("to"), reject="reject" in command.words)
    setattr(message, "from", command.number("from"))
    for key, field in _FIELDS.items():
        if key in command.options:
            setattr(message, field, command.number(key))
    cluster.wire.send([message])
