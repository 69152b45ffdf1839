"""Agents against the dispatcher over gRPC: registration, heartbeats, assignments, reports."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from api import states
from api.errors import Code, SwarmError
from api.times import duration, seconds_of
from api.v1 import dispatcher_pb2, dispatcher_pb2_grpc, objects_pb2
from hostkit.clock import wall
from manager.dispatcher.service import DispatcherService, host_of
from manager.dispatcher.sessions import (
    MISSED_PERIODS,
    MISSED_PERIODS_NEW_LEADER,
    NEW_LEADER,
    STREAM_BROKE,
)
from manager.state.changes import Applied, Batch, StoredObject, copy, create, delete, update
from manager.state.watch import WatchHub
from tests.support.builders import DOWN, READY, UNKNOWN, cluster, network, node, service, task
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer
from tests.support.elapsing import elapse
from tests.support.rpc import as_node, ending, failure, holds, read, served, write
from tests.support.sealed_store import SealedStore
from tests.support.until import until

LONG, SHORT = 60.0, 5.0
"""Heartbeat periods: of tests in which no lease runs out, and of those that let one run out."""
LATE = 1.2
"""Times as long as a lease: its end is passed whatever its jitter."""

COMPLETE = dispatcher_pb2.AssignmentsMessage.TYPE_COMPLETE
INCREMENTAL = dispatcher_pb2.AssignmentsMessage.TYPE_INCREMENTAL


class Quorum(DirectProposer):
    """Writes until there is a failure."""

    failure: SwarmError | None = None

    async def propose(
        self, batches: Sequence[Batch], *, request_id: str = "", object_id: str = ""
    ) -> Applied:
        if self.failure is not None:
            raise self.failure
        return await super().propose(batches, request_id=request_id, object_id=object_id)


class Bench:
    """A dispatcher that leads, and what its agents do."""

    def __init__(self) -> None:
        elapse(0)  # the service will take the clock of the loop
        self.store = SealedStore()
        self.hub = WatchHub()
        self.proposer = Quorum(self.store, wall, self.hub)
        self.stub: Any = None
        self.leading: asyncio.Task[None] | None = None
        self.leader = ""
        self.confirmed = 0
        self.doubt: SwarmError | None = None
        self.loses_the_lead = self.leads_again = False
        self.service = DispatcherService(
            store=self.store,
            hub=self.hub,
            proposer=self.proposer,
            clock=wall,
            monotonic=asyncio.get_running_loop().time,
            ids=counter("s"),
            chance=random.Random(1),
            leader=lambda: self.leader,
            confirm=self.confirm,
        )

    async def confirm(self) -> None:
        self.confirmed += 1
        if self.doubt is not None:
            raise self.doubt
        if self.loses_the_lead:
            await self.step_down()
        if self.leads_again:
            await self.lead()

    async def lead(self) -> None:
        self.leading = asyncio.create_task(self.service.run())
        await asyncio.sleep(0)

    async def step_down(self) -> None:
        assert self.leading is not None
        self.leading.cancel()
        await asyncio.wait([self.leading])

    def session(self, node_id: str, **description: Any) -> Any:
        request = dispatcher_pb2.SessionRequest(
            description=objects_pb2.NodeDescription(hostname=node_id, **description)
        )
        return self.stub.Session(request, metadata=as_node(node_id))

    async def register(self, node_id: str) -> tuple[Any, str]:
        call = self.session(node_id)
        return call, (await read(call)).session_id

    def heartbeat(self, node_id: str, session_id: str, applied: int = 0) -> Awaitable[Any]:
        request = dispatcher_pb2.HeartbeatRequest(session_id=session_id, applied=applied)
        beat: Awaitable[Any] = self.stub.Heartbeat(request, metadata=as_node(node_id))
        return beat

    def assignments(self, node_id: str, session_id: str) -> Any:
        request = dispatcher_pb2.AssignmentsRequest(session_id=session_id)
        return self.stub.Assignments(request, metadata=as_node(node_id))

    def report(self, node_id: str, session_id: str, **found: int) -> Awaitable[Any]:
        updates = [
            dispatcher_pb2.TaskStatusUpdate(
                task_id=task_id,
                status=objects_pb2.TaskStatus(state=state),  # type: ignore[arg-type]
            )
            for task_id, state in found.items()
        ]
        request = dispatcher_pb2.UpdateTaskStatusRequest(session_id=session_id, updates=updates)
        sent: Awaitable[Any] = self.stub.UpdateTaskStatus(request, metadata=as_node(node_id))
        return sent

    async def write(self, *objects: StoredObject) -> None:
        await write(self.proposer, *map(create, objects))

    async def change(self, kind: type[Any], object_id: str, edit: Callable[[Any], None]) -> None:
        changed = copy(self.get(kind, object_id))
        edit(changed)
        await write(self.proposer, update(changed))

    def get(self, kind: type[Any], object_id: str) -> Any:
        found = self.store.get(kind, object_id)
        assert found is not None
        return found

    async def becomes(self, node_id: str, state: int) -> objects_pb2.Node:
        def reached(_: object) -> bool:
            return bool(self.get(objects_pb2.Node, node_id).status.state == state)

        await holds(self.store, self.hub, reached)
        node: objects_pb2.Node = self.get(objects_pb2.Node, node_id)
        return node


@asynccontextmanager
async def bench(*objects: StoredObject, period: float = LONG) -> AsyncIterator[Bench]:
    made = Bench()
    named = cluster()
    named.spec.heartbeat_period.CopyFrom(duration(period))
    await made.write(named, *objects)
    await made.lead()

    def add(server: grpc.aio.Server) -> None:
        dispatcher_pb2_grpc.add_DispatcherServicer_to_server(made.service, server)

    async with served(add) as channel:
        made.stub = dispatcher_pb2_grpc.DispatcherStub(channel)
        try:
            yield made
        finally:
            await made.step_down()
    made.store.check_seals()


Scenario = Callable[[], Awaitable[None]]


def run(scenario: Scenario) -> None:
    async def limited() -> None:
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(limited())


def test_registering_makes_a_node_ready_before_it_is_greeted() -> None:
    async def scenario() -> None:
        async with bench(node("n1", state=UNKNOWN)) as b:
            message = await read(b.session("n1", address="192.0.2.7"))
            found = b.get(objects_pb2.Node, "n1")
            assert (found.status.state, found.status.address) == (READY, "192.0.2.7")
            assert found.description.hostname == "n1"
            assert message.node.status.state == READY
            answer = await b.heartbeat("n1", message.session_id)
            assert 0.9 * LONG <= seconds_of(answer.period) <= 1.1 * LONG

    run(scenario)


def test_a_node_that_names_no_address_is_known_by_where_it_came_from() -> None:
    async def scenario() -> None:
        async with bench(node("n1")) as b:
            await b.register("n1")
            assert b.get(objects_pb2.Node, "n1").status.address == "127.0.0.1"

    run(scenario)


def test_a_node_is_told_the_login_of_a_service_with_the_task_that_needs_it() -> None:
    async def scenario() -> None:
        web = service("web")
        web.registry_logins["docker.io"] = "old"
        first = task("t1", node_id="n1", state=states.ASSIGNED)
        async with bench(node("n1"), node("n2"), web, first) as b:
            _session, session_id = await b.register("n1")
            stream = b.assignments("n1", session_id)
            (change,) = (await read(stream)).changes
            assert change.task.spec.container.registry_auth == "old"
            await b.change(objects_pb2.Service, "web", _with_new_login)
            await b.write(task("t2", node_id="n1", state=states.ASSIGNED))
            (change,) = (await read(stream)).changes
            assert (change.task.id, change.task.spec.container.registry_auth) == ("t2", "new")
            _session, other_id = await b.register("n2")
            assert not (await read(b.assignments("n2", other_id))).changes

    run(scenario)


def _with_new_login(changed: objects_pb2.Service) -> None:
    changed.registry_logins["docker.io"] = "new"


def test_who_is_not_in_the_store_is_not_found() -> None:
    async def scenario() -> None:
        async with bench() as b:
            assert (await ending(b.session("n9"))).code is Code.NOT_FOUND
            assert (await failure(b.heartbeat("n9", "s1"))).code is Code.NOT_FOUND
            assert (await failure(b.report("n9", "s1"))).code is Code.NOT_FOUND
            assert (await ending(b.assignments("n9", "s1"))).code is Code.NOT_FOUND

    run(scenario)


def test_a_clone_voids_the_session_of_its_twin() -> None:
    async def scenario() -> None:
        async with bench(node("n1")) as b:
            first, first_id = await b.register("n1")
            stream = b.assignments("n1", first_id)
            await read(stream)
            _second, second_id = await b.register("n1")
            for ended in (first, stream):
                error = await ending(ended)
                assert error.code is Code.REFUSED
                assert "newer session" in error.what
            assert (await failure(b.heartbeat("n1", first_id))).code is Code.REFUSED
            await b.heartbeat("n1", second_id)
            assert b.get(objects_pb2.Node, "n1").status.state == READY

    run(scenario)


def test_registering_in_a_loop_is_refused() -> None:
    async def scenario() -> None:
        async with bench(node("n1")) as b:
            for _ in range(3):
                await b.register("n1")
            error = await ending(b.session("n1"))
            assert error.code is Code.EXHAUSTED
            assert "wait" in error.remedy

    run(scenario)


def test_a_node_whose_registration_cannot_be_written_has_no_session() -> None:
    async def scenario() -> None:
        async with bench(node("n1", state=UNKNOWN)) as b:
            b.proposer.failure = SwarmError(Code.UNAVAILABLE, "there is no quorum")
            error = await ending(b.session("n1"))
            assert (error.code, error.what) == (Code.UNAVAILABLE, "there is no quorum")
            assert b.get(objects_pb2.Node, "n1").status.state == UNKNOWN
            assert (await failure(b.heartbeat("n1", "s1"))).code is Code.REFUSED

    run(scenario)


def test_a_broken_stream_is_unknown_at_once() -> None:
    async def scenario() -> None:
        async with bench(node("n1")) as b:
            call, session_id = await b.register("n1")
            stream = b.assignments("n1", session_id)
            await read(stream)
            call.cancel()
            found = await b.becomes("n1", UNKNOWN)
            assert found.status.message == STREAM_BROKE
            assert (await ending(stream)).code is Code.REFUSED

    run(scenario)


def test_missed_heartbeats_make_a_node_down_and_it_may_come_back() -> None:
    async def scenario() -> None:
        replaced = task("t1", node_id="n1", desired=states.SHUTDOWN)
        async with bench(node("n1"), replaced, period=SHORT) as b:
            call, _ = await b.register("n1")
            await passes(LATE * MISSED_PERIODS * SHORT)
            found = await b.becomes("n1", DOWN)
            assert found.status.message.startswith("no heartbeat for")
            error = await ending(call)
            assert error.code is Code.REFUSED
            assert error.remedy == "register again"
            await b.change(objects_pb2.Cluster, "cluster", slow_down)
            call, session_id = await b.register("n1")
            assert b.get(objects_pb2.Node, "n1").status.state == READY
            complete = await read(b.assignments("n1", session_id))
            assert [c.task.desired_state for c in complete.changes] == [states.SHUTDOWN]

    run(scenario)


async def passes(seconds: float) -> None:
    """So much time goes by, through which the manager is awake."""
    for _ in range(round(seconds)):
        elapse(1.0)
        await asyncio.sleep(0.01)


def slow_down(changed: objects_pb2.Cluster) -> None:
    changed.spec.heartbeat_period.CopyFrom(duration(LONG))


def test_a_new_leader_has_heard_of_nobody_and_waits_longer() -> None:
    async def scenario() -> None:
        dead = node("dead", state=DOWN)
        async with bench(node("n1"), node("n2"), dead, period=SHORT) as b:
            found = await b.becomes("n1", UNKNOWN)
            assert found.status.message == NEW_LEADER
            assert b.get(objects_pb2.Node, "dead").status.state == DOWN
            await b.change(objects_pb2.Cluster, "cluster", slow_down)
            _call, session_id = await b.register("n2")
            await passes(LATE * MISSED_PERIODS_NEW_LEADER * SHORT)
            await b.becomes("n1", DOWN)
            await b.heartbeat("n2", session_id)
            assert b.get(objects_pb2.Node, "n2").status.state == READY

    run(scenario)


def test_a_leader_that_stood_still_finds_no_node_lost_for_that(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        async with bench(node("n1"), node("n2"), period=SHORT) as b:
            _call, session_id = await b.register("n1")
            await b.register("n2")
            elapse(LATE * MISSED_PERIODS * SHORT)
            await until(lambda: "stood still" in caplog.text)
            await b.heartbeat("n1", session_id)
            assert [b.get(objects_pb2.Node, each).status.state for each in ("n1", "n2")] == [
                READY,
                READY,
            ]
            elapse(LATE * MISSED_PERIODS * SHORT)
            await b.becomes("n2", DOWN)
            await b.heartbeat("n1", session_id)

    run(scenario)


def test_the_end_of_leading_ends_everything_with_a_remedy() -> None:
    async def scenario() -> None:
        async with bench(node("n1")) as b:
            call, session_id = await b.register("n1")
            stream = b.assignments("n1", session_id)
            await read(stream)
            await b.step_down()
            for ended in (call, stream, b.session("n1")):
                error = await ending(ended)
                assert error.code is Code.UNAVAILABLE
                assert error.remedy
            assert (await failure(b.heartbeat("n1", session_id))).code is Code.UNAVAILABLE
            await b.lead()
            assert (await failure(b.heartbeat("n1", session_id))).code is Code.REFUSED
            await b.register("n1")

    run(scenario)


def test_a_manager_that_is_not_certain_to_lead_opens_no_session() -> None:
    async def scenario() -> None:
        async with bench(node("n1")) as b:
            b.doubt = SwarmError(Code.UNAVAILABLE, "no quorum")
            assert (await ending(b.session("n1"))).code is Code.UNAVAILABLE
            b.doubt = None
            await b.register("n1")
            assert b.confirmed == 2

    run(scenario)


@pytest.mark.parametrize("leads_again", [False, True])
def test_who_ceases_to_lead_while_it_makes_sure_opens_no_session(leads_again: bool) -> None:
    async def scenario() -> None:
        async with bench(node("n1")) as b:
            b.loses_the_lead, b.leads_again = True, leads_again
            assert (await ending(b.session("n1"))).code is Code.UNAVAILABLE

    run(scenario)


def test_a_manager_that_does_not_lead_names_the_one_that_does() -> None:
    async def scenario() -> None:
        async with bench(node("n1")) as b:
            b.leader = "192.0.2.9:2377"
            assert not (await read(b.session("n1"))).leader
            await b.step_down()
            call = b.session("n1")
            assert await read(call) == dispatcher_pb2.SessionMessage(leader="192.0.2.9:2377")
            assert await call.read() is grpc.aio.EOF

    run(scenario)


def test_a_removed_node_is_sent_away() -> None:
    async def scenario() -> None:
        async with bench(node("n1")) as b:
            call, session_id = await b.register("n1")
            stream = b.assignments("n1", session_id)
            await read(stream)
            await write(b.proposer, delete(copy(b.get(objects_pb2.Node, "n1"))))
            for ended in (call, stream):
                assert (await ending(ended)).code is Code.NOT_FOUND
            assert (await failure(b.heartbeat("n1", session_id))).code is Code.NOT_FOUND

    run(scenario)


def test_a_session_is_told_of_its_node_the_managers_and_a_new_root() -> None:
    def promote(changed: objects_pb2.Node) -> None:
        changed.manager.address = "192.0.2.1:2377"

    def label(changed: objects_pb2.Node) -> None:
        changed.spec.annotations.labels["zone"] = "b"

    def rotate(changed: objects_pb2.Cluster) -> None:
        changed.root_ca.certificate_pem = b"new"

    async def scenario() -> None:
        async with bench(node("m1"), node("n1")) as b:
            call, _ = await b.register("n1")
            await b.change(objects_pb2.Node, "m1", promote)
            assert (await read(call)).managers[0].address == "192.0.2.1:2377"
            await b.change(objects_pb2.Node, "n1", label)
            assert (await read(call)).node.spec.annotations.labels["zone"] == "b"
            await b.change(objects_pb2.Cluster, "cluster", rotate)
            assert (await read(call)).root_ca_pem == b"new"

    run(scenario)


def test_assignments_are_complete_then_chained() -> None:
    async def scenario() -> None:
        running, other = task("t1", node_id="n1"), task("t2", node_id="n2")
        async with bench(node("n1"), running, other) as b:
            _call, session_id = await b.register("n1")
            stream = b.assignments("n1", session_id)
            complete = await read(stream)
            assert (complete.type, complete.applies_to) == (COMPLETE, "")
            assert [change.task.id for change in complete.changes] == ["t1"]
            await b.write(task("t3", node_id="n1", state=states.ASSIGNED))
            first = await read(stream)
            assert (first.type, first.applies_to) == (INCREMENTAL, complete.results_in)
            assert [change.task.id for change in first.changes] == ["t3"]
            await b.report("n1", session_id, t3=states.RUNNING)
            await b.change(objects_pb2.Task, "t1", stop)
            second = await read(stream)
            assert second.applies_to == first.results_in
            assert [(c.task.id, c.task.desired_state) for c in second.changes] == [
                ("t1", states.SHUTDOWN)
            ]
            await write(b.proposer, delete(copy(b.get(objects_pb2.Task, "t1"))))
            third = await read(stream)
            assert third.applies_to == second.results_in
            assert third.changes[0].action == dispatcher_pb2.AssignmentChange.ACTION_REMOVE

    run(scenario)


def stop(changed: objects_pb2.Task) -> None:
    changed.desired_state = states.SHUTDOWN


def test_a_second_assignment_stream_ends_the_first() -> None:
    async def scenario() -> None:
        async with bench(node("n1")) as b:
            _call, session_id = await b.register("n1")
            first = b.assignments("n1", session_id)
            await read(first)
            second = b.assignments("n1", session_id)
            await read(second)
            assert (await ending(first)).code is Code.REFUSED
            await b.write(task("t1", node_id="n1"))
            assert (await read(second)).changes[0].task.id == "t1"

    run(scenario)


def test_thousands_of_tasks_come_in_messages_that_grpc_takes() -> None:
    async def scenario() -> None:
        tasks = [task(f"t{index}", node_id="n1", slot=index + 1) for index in range(3000)]
        for each in tasks:
            each.spec.container.env.append("X=" + "x" * 2000)
        async with bench(node("n1"), *tasks) as b:
            _call, session_id = await b.register("n1")
            stream = b.assignments("n1", session_id)
            whole: set[str] = set()
            state = ""
            while len(whole) < len(tasks):
                message = await read(stream)
                assert message.applies_to == state
                state = message.results_in
                whole |= {c.task.id for c in message.changes if c.task.spec.container.env}
            assert (message.type, state != "1") == (INCREMENTAL, True)

    run(scenario)


def test_events_that_were_lost_are_made_up_for() -> None:
    async def scenario() -> None:
        gone = node("n2")
        async with bench(node("n1"), gone, task("t1", node_id="n1")) as b:
            _call, session_id = await b.register("n1")
            other, _ = await b.register("n2")
            stream = b.assignments("n1", session_id)
            await read(stream)
            # As a snapshot does: the store is another, and nobody saw how.
            changes = [delete(copy(b.get(objects_pb2.Node, "n2")))]
            b.store.must(*changes, create(task("t2", node_id="n1")), now=wall())
            b.hub.resync()
            assert [change.task.id for change in (await read(stream)).changes] == ["t2"]
            assert (await ending(other)).code is Code.NOT_FOUND

    run(scenario)


def test_a_report_is_durable_when_it_is_answered_and_only_grows() -> None:
    async def scenario() -> None:
        mine = task("t1", node_id="n1", state=states.ASSIGNED)
        async with bench(node("n1"), mine) as b:
            _call, session_id = await b.register("n1")
            for reported, expected in (
                (states.PREPARING, states.PREPARING),
                (states.RUNNING, states.RUNNING),
                (states.STARTING, states.RUNNING),
                (states.FAILED, states.FAILED),
                (states.RUNNING, states.FAILED),
            ):
                await b.report("n1", session_id, t1=reported)
                assert b.get(objects_pb2.Task, "t1").status.state == expected
            await b.report("n1", session_id, vanished=states.RUNNING)

    run(scenario)


def test_a_report_on_another_nodes_task_is_refused_as_a_whole() -> None:
    async def scenario() -> None:
        mine = task("t1", node_id="n1", state=states.ASSIGNED)
        other = task("t2", node_id="n2", state=states.ASSIGNED)
        async with bench(node("n1"), mine, other) as b:
            _call, session_id = await b.register("n1")
            call = b.report("n1", session_id, t1=states.RUNNING, t2=states.RUNNING)
            error = await failure(call)
            assert (error.code, error.field) == (Code.DENIED, "updates[1].task_id")
            assert b.get(objects_pb2.Task, "t1").status.state == states.ASSIGNED
            error = await failure(b.report("n1", "s99", t1=states.RUNNING))
            assert error.code is Code.REFUSED

    run(scenario)


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:10.0.0.7:4711", "10.0.0.7"),
        ("ipv6:%5Bfd00::7%5D:4711", "fd00::7"),
        ("ipv6:[fd00::7]:4711", "fd00::7"),
        ("unix:/run/swarm/swarmd.sock", ""),
        ("unix:", ""),
    ],
)
def test_where_a_call_came_from(peer: str, host: str) -> None:
    assert host_of(peer) == host


def test_an_address_is_free_once_every_node_that_is_up_has_confirmed() -> None:
    async def scenario() -> None:
        never_came = objects_pb2.Node(id="n3")
        nodes = (node("n1"), node("n2", state=DOWN), never_came)
        async with bench(*nodes, network("front")) as b:
            await b.change(
                objects_pb2.Network, "front", lambda n: n.resting.add(address="10.0.0.9")
            )
            _call, session_id = await b.register("n1")
            stream = b.assignments("n1", session_id)
            message = await read(stream)
            assert message.version > 0
            await b.heartbeat("n1", session_id, applied=message.version)

            def free(_: object) -> bool:
                return not b.get(objects_pb2.Network, "front").resting

            await holds(b.store, b.hub, free)

    run(scenario)


def running(task_id: str, node_id: str, address: str) -> objects_pb2.Task:
    made = task(task_id, "web", node_id=node_id, state=states.RUNNING)
    made.networks.add(network_id="front", addresses=[address])
    return made


def front() -> list[StoredObject]:
    """A network with a task of `web` on n1, and another on n2."""
    made = network("front", "10.0.1.0/24")
    made.vni = 4097
    made.pools.add(subnet="10.0.1.0/24", gateway="10.0.1.1")
    nodes = [node("n1"), node("n2")]
    for each in nodes:
        each.status.address = "192.0.2.1"
    tasks = [running("t1", "n1", "10.0.1.3/24"), running("t2", "n2", "10.0.1.4/24")]
    return [made, *nodes, service("web"), *tasks]


async def drained(stream: Any) -> str:
    """The task of which that is said next."""
    while True:
        for change in (await read(stream)).changes:
            if change.HasField("drained"):
                return str(change.drained.task_id)


def test_a_task_is_drained_once_every_node_has_confirmed_that_it_serves_no_more() -> None:
    async def scenario() -> None:
        async with bench(*front()) as b:
            calls, streams = {}, {}
            for name in ("n1", "n2"):
                calls[name], session_id = await b.register(name)
                streams[name] = b.assignments(name, session_id)
                first = await read(streams[name])
                assert first.confirm
                await b.heartbeat(name, session_id, applied=first.version)
                calls[name] = session_id
            stop = lambda t: setattr(t, "desired_state", states.SHUTDOWN)  # noqa: E731
            await b.change(objects_pb2.Task, "t1", stop)
            for name in ("n1", "n2"):
                told = await read(streams[name])
                while not told.confirm:  # n1 may have yet to hear of n2
                    told = await read(streams[name])
                await b.heartbeat(name, calls[name], applied=told.version)
            assert await drained(streams["n1"]) == "t1"
            # Whoever comes anew, as to a new leader, hears it again.
            again = b.assignments("n1", calls["n1"])
            assert await drained(again) == "t1"

    run(scenario)


def test_nodes_that_are_down_hold_up_no_task() -> None:
    async def scenario() -> None:
        async with bench(*front()) as b:
            _call, session_id = await b.register("n1")
            stream = b.assignments("n1", session_id)
            await b.change(
                objects_pb2.Task, "t1", lambda t: setattr(t, "desired_state", states.SHUTDOWN)
            )
            message = await read(stream)
            while not any(c.HasField("task") and c.task.desired_state for c in message.changes):
                message = await read(stream)
            await b.heartbeat("n1", session_id, applied=b.store.version)
            await b.change(objects_pb2.Node, "n2", lambda n: setattr(n.status, "state", DOWN))
            assert await drained(stream) == "t1"

    run(scenario)


def test_who_did_not_confirm_before_a_task_ended_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        async with bench(*front()) as b:
            _call, session_id = await b.register("n1")
            stream = b.assignments("n1", session_id)
            await read(stream)
            stop = lambda t: setattr(t, "desired_state", states.SHUTDOWN)  # noqa: E731
            await b.change(objects_pb2.Task, "t1", stop)
            await read(stream)
            over = lambda t: setattr(t.status, "state", states.SHUTDOWN)  # noqa: E731
            await b.change(objects_pb2.Task, "t1", over)
            await read(stream)
            assert "task t1 ended before these nodes confirmed" in caplog.text
            assert caplog.text.rstrip().endswith("n1, n2")

    run(scenario)
