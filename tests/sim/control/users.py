"""People: each owns a service and changes it, one of them looks after nodes. They ask any manager,
and ask again, with the same request id, until they have a definite answer.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import grpc

from api.errors import Code, SwarmError
from api.modes import is_job
from api.serving import Caller
from api.status import from_grpc
from api.v1 import control_pb2, control_pb2_grpc, objects_pb2, specs_pb2, types_pb2
from tests.sim.control.calls import Channel
from tests.sim.control.loop import Process
from tests.sim.control.manager import CLUSTER
from tests.sim.control.volume_users import VolumeMaker
from tests.sim.raft.violation import Violation, must
from tests.support.builders import ACTIVE, DRAIN, GIB, PAUSE, service, task_spec, update_config

if TYPE_CHECKING:
    from tests.sim.control.world import World

LAPTOP = "laptop"
KEEPS_A_SECRET = 1
"""The number of the owner whose tasks need one."""
AGAIN = (Code.UNAVAILABLE, Code.DEADLINE, Code.CANCELLED, Code.EXHAUSTED)
CONDITIONS = specs_pb2.RestartPolicy.Condition
MANAGER, WORKER = types_pb2.NODE_ROLE_MANAGER, types_pb2.NODE_ROLE_WORKER


class Users:
    """`pause` them all, and let them put everything right."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.process = Process(world.loop, LAPTOP)
        self.acts = asyncio.Event()
        self.busy = 0
        self._owners = [Owner(self, number) for number in range(3)]
        self._owners.append(Owner(self, 3, ("global", "replicated_job", "global_job")))
        self._keeper = NodeKeeper(self)
        self._maker = VolumeMaker(self) if world.storage.guarded else None

    def begin(self) -> None:
        """From now on they act, whenever `acts` is set."""
        self.acts.set()
        for each in self._owners:
            self.process.spawn(each.run())
        self.process.spawn(self._keeper.run())
        if self._maker is not None:
            self.process.spawn(self._maker.run())

    async def repair(self) -> None:
        """Everything is asked for in a way that can be had."""
        await self._keeper.repair()
        for each in self._owners:
            await each.repair()

    async def turn(self) -> None:
        """Waits until it is time for the next act."""
        await asyncio.sleep(self.world.random.expovariate(0.25))
        await self.acts.wait()

    async def ask(self, method: str, request: Any) -> Any:
        """The definite answer of any manager. SwarmError: its refusal."""
        while True:
            address = self.world.random.choice(self.world.manager_addresses())
            who = Caller("operator", "somebody", CLUSTER, "tls")
            channel = Channel(self.world.network, self.process, LAPTOP, who, address)
            stub = control_pb2_grpc.ControlStub(cast(grpc.aio.Channel, channel))
            try:
                timeout = self.world.random.choice((2.0, 5.0, 15.0))
                return await getattr(stub, method)(request, timeout=timeout)
            except grpc.aio.AioRpcError as error:
                told = from_grpc(error, method)
                if told.code not in AGAIN:
                    raise told from error
                await asyncio.sleep(self.world.random.uniform(0.05, 0.5))

    def request_id(self) -> str:
        """A new one."""
        return f"request-{self.world.new_id()}"


class Owner:
    """Owns one service at a time, of one of the modes."""

    def __init__(self, users: Users, number: int, modes: tuple[str, ...] = ("replicated",)) -> None:
        self._modes = modes
        self._users = users
        self._world = users.world
        self._random = users.world.random
        self._number = number
        self._made = 0
        self._id = ""
        self._secret: specs_pb2.FileReference | None = None
        self._start_first = self._random.random() < 0.3

    async def run(self) -> None:
        """Acts until the world ends."""
        while True:
            await self._users.turn()
            self._users.busy += 1
            await self._act()
            self._users.busy -= 1

    async def _act(self) -> None:
        if not self._id:
            await self._create()
            return
        act = self._random.choices((self._scale, self._change_tasks, self._remove), (4, 4, 1))[0]
        await act()

    async def repair(self) -> None:
        """A spec that any node could run."""
        if self._id:
            await self._update(self._mend)

    async def _create(self) -> None:
        self._made += 1
        if self._number == KEEPS_A_SECRET:
            await self._change_secret()
        spec = service(
            f"s{self._number}-{self._made}",
            self._replicas(),
            mode=self._random.choice(self._modes),
            at_once=2,
        ).spec
        self._refer(spec)
        self._connect(spec)
        if _is_job(spec):
            spec.task.container.image = "job:1"
        else:
            spec.update.CopyFrom(update_config(2, start_first=self._start_first))
        spec.task.restart.delay.seconds = 1
        request = control_pb2.CreateServiceRequest(spec=spec, request_id=self._users.request_id())
        self._world.note("{} is asked for", spec.annotations.name)
        try:
            made = await self._users.ask("CreateService", request)
        except SwarmError as error:
            raise Violation("one effect per request", f"create was refused: {error}") from error
        self._world.note("{} is made: {}", spec.annotations.name, made.id)
        self._id = made.id
        self._world.checks.created(made, spec)

    async def _change_secret(self) -> None:
        """Another one than before, which is removed: nothing uses it any more."""
        name = f"secret-{self._made}"
        before, self._secret = self._secret, specs_pb2.FileReference(source=name)
        spec = specs_pb2.SecretSpec(data=name.encode())
        spec.annotations.name = name
        create = control_pb2.CreateSecretRequest(spec=spec, request_id=self._users.request_id())
        self._secret.id = (await self._users.ask("CreateSecret", create)).id
        if before is not None:
            remove = control_pb2.RemoveRequest(
                key=before.source, request_id=self._users.request_id()
            )
            await self._users.ask("RemoveSecret", remove)

    def _connect(self, spec: specs_pb2.ServiceSpec) -> None:
        """In the network of most services, now and then; reached from outside, now and then."""
        del spec.task.networks[:], spec.endpoint.ports[:]
        if self._random.random() < 0.7:
            spec.task.networks.add(target="front", id="front")
        if self._random.random() < 0.4:
            spec.endpoint.ports.add(target_port=80)

    def _refer(self, spec: specs_pb2.ServiceSpec) -> None:
        if self._secret is not None:
            spec.task.container.secrets.append(self._secret)

    async def _remove(self) -> None:
        self._world.checks.going.add(self._id)
        request = control_pb2.RemoveRequest(key=self._id, request_id=self._users.request_id())
        try:
            await self._users.ask("RemoveService", request)
        except SwarmError as error:
            raise Violation("one effect per request", f"remove was refused: {error}") from error
        self._world.note("{} is removed", self._id)
        self._world.checks.removed(self._id)
        self._id = ""

    async def _scale(self) -> None:
        replicas = self._replicas()

        def change(spec: specs_pb2.ServiceSpec) -> None:
            if spec.HasField("replicated"):
                spec.replicated.replicas = replicas
            elif spec.HasField("replicated_job"):
                spec.replicated_job.total_completions = replicas
            else:
                spec.task.force_update += 1

        await self._update(change)

    async def _change_tasks(self) -> None:
        await (self._roll_back() if self._random.random() < 0.2 else self._roll_out())

    async def _roll_out(self) -> None:
        random = self._random
        kind = random.choices(["app", "broken", "sick", "huge"], [8, 1, 1, 1])[0]
        fresh = task_spec(
            f"{kind}:{random.randrange(1000)}",
            cpus=64 if kind == "huge" else random.choice([0, 0, 0.5, 1]),
            memory=random.choice([0, GIB // 4]),
            delay=random.choice([0, 1, 3]),
            condition=random.choice(CONDITIONS.values()),
            max_attempts=random.choice([0, 0, 2]),
            checked=kind == "sick" or random.random() < 0.3,
        )
        config = update_config(
            random.choice([None, 0, 1, 2]),
            delay=random.choice([0, 1]),
            monitor=random.choice([0, 2]),
            start_first=self._start_first,
            **random.choice([{}, {"goes_on": True}, {"goes_back": True}]),
        )

        back = update_config(random.choice([None, 0, 2]), monitor=1, start_first=self._start_first)

        def change(spec: specs_pb2.ServiceSpec) -> None:
            spec.task.CopyFrom(fresh)
            self._refer(spec)
            self._connect(spec)
            if not _is_job(spec):
                spec.update.CopyFrom(config)
                spec.rollback.CopyFrom(back)
            elif kind == "app":
                spec.task.container.image = fresh.container.image.replace("app", "job")

        await self._update(change)

    def _mend(self, spec: specs_pb2.ServiceSpec) -> None:
        is_job = _is_job(spec)
        image, checked = "job:final" if is_job else "app:final", not self._number and not is_job
        spec.task.CopyFrom(task_spec(image, cpus=0.1, delay=1, checked=checked))
        self._refer(spec)
        self._connect(spec)
        if not is_job:
            spec.update.CopyFrom(update_config(3, start_first=self._start_first))

    async def _roll_back(self) -> None:
        await self._update(None)

    async def _update(self, change: Callable[[specs_pb2.ServiceSpec], object] | None) -> None:
        """Changes the spec; None rolls it back."""
        while True:
            present = await self._users.ask("GetService", control_pb2.GetRequest(key=self._id))
            must(
                self._world.checks.is_as_wanted(present),
                "reads are up to date",
                "%s is read without what was acknowledged",
                self._id,
            )
            request = control_pb2.UpdateServiceRequest(
                key=self._id,
                version=present.meta.version,
                rollback=change is None,
                request_id=self._users.request_id(),
            )
            if change is not None:
                request.spec.CopyFrom(present.spec)
                change(request.spec)
            try:
                made = await self._users.ask("UpdateService", request)
            except SwarmError as error:
                if error.code is Code.CONFLICT:
                    continue  # the orchestrator has told of the rollout meanwhile
                if change is None and error.code is Code.REFUSED:
                    return  # there is nothing to go back to
                raise Violation("one effect per request", f"update was refused: {error}") from error
            self._world.note("{} is updated", self._id)
            self._world.checks.updated(made, made.spec if change is None else request.spec)
            return

    def _replicas(self) -> int:
        return self._random.randrange(5)


def _is_job(spec: specs_pb2.ServiceSpec) -> bool:
    return is_job(objects_pb2.Service(spec=spec))


class NodeKeeper:
    """Drains and activates nodes, makes managers and workers of them."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._world = users.world
        self._random = users.world.random

    async def run(self) -> None:
        """Acts until the world ends."""
        while True:
            await self._users.turn()
            self._users.busy += 1
            name = self._random.choice(list(self._world.hosts))
            if self._world.moves_managers and self._random.random() < 0.4:
                await self._change(name, role=self._role_for(name))
            else:
                chosen = self._random.choice((ACTIVE, ACTIVE, PAUSE, DRAIN))
                await self._change(name, availability=chosen)
            self._users.busy -= 1

    async def repair(self) -> None:
        """Every node takes tasks."""
        for name in list(self._world.hosts):
            await self._change(name, availability=ACTIVE)

    def _role_for(self, name: str) -> int:
        managers = [
            node.id
            for node in self._world.watch.store.all(objects_pb2.Node)
            if node.spec.role == MANAGER
        ]
        if name in managers:
            return WORKER if len(managers) > 1 else MANAGER
        return MANAGER if len(managers) < 5 else WORKER

    async def _change(self, name: str, **fields: Any) -> None:
        while True:
            node = await self._users.ask("GetNode", control_pb2.GetRequest(key=name))
            spec = specs_pb2.NodeSpec()
            spec.CopyFrom(node.spec)
            for field, value in fields.items():
                setattr(spec, field, value)
            if spec == node.spec:
                return
            request = control_pb2.UpdateNodeRequest(
                key=name,
                version=node.meta.version,
                spec=spec,
                request_id=self._users.request_id(),
            )
            self._world.note("node {} is to be {}", name, fields)
            try:
                await self._users.ask("UpdateNode", request)
            except SwarmError as error:
                if error.code is Code.CONFLICT:
                    continue
                if error.code is not Code.REFUSED:
                    raise Violation("one effect per request", f"{name}: {error}") from error
                self._world.note("refused: {}", error)
            return
