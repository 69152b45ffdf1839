"""What an agent does when sessions break, managers are away, and the daemon starts again."""

import asyncio

import pytest

from api.errors import Code, SwarmError
from api.states import (
    ACCEPTED,
    FAILED,
    PREPARING,
    READY,
    RUNNING,
)
from api.v1 import dispatcher_pb2, objects_pb2, types_pb2, volume_pb2
from api.v1.network_pb2 import NodeNetwork
from hostkit.clock import boot
from manager.dispatcher import endings
from tests.support.fake_executor import Exit
from tests.support.fake_manager import UNAVAILABLE, FakeManager
from tests.support.paper_node import Node, State, gone, task, until
from worker.network_book import News
from worker.node_networks import Means, NoNetworks
from worker.node_volumes import NoVolumes, SendVolumes
from worker.session import Timing
from worker.storage import Storage


def test_the_manager_hears_of_the_node_and_gets_heartbeats(node: Node) -> None:
    async def scenario() -> None:
        node.manager.period = 0.01
        async with node.agent():
            await node.manager.until(lambda: node.manager.heartbeats >= 3)
        assert [d.hostname for d in node.manager.descriptions] == ["box"]
        assert node.heard[0].session_id == "session-1"

    node.run(scenario)


def test_a_manager_that_is_away_changes_nothing_and_hears_all_on_return(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks |= {"a": task("a"), "b": task("b")}
        async with node.agent() as agent:
            await manager.reported("a", RUNNING)
            await manager.reported("b", RUNNING)
            await manager.stop()
            node.executor.containers["a"].end(Exit(5))
            await until(lambda: agent.tasks()["a"].status.state == FAILED)
            await manager.start()
            failed = await manager.reported("a", FAILED)
            assert failed.container.exit_code == 5
            assert manager.sessions == 2
        assert node.executor.steps("b") == ["prepare", "start", "wait"]

    node.run(scenario)


def test_statuses_that_were_not_acknowledged_are_sent_again(node: Node) -> None:
    async def scenario() -> None:
        node.manager.tasks["a"] = task("a")
        node.manager.refuse["UpdateTaskStatus"] = [UNAVAILABLE, UNAVAILABLE]
        async with node.agent():
            await node.manager.reported("a", RUNNING)
            assert node.manager.sessions == 3

    node.run(scenario)


def test_a_refused_session_is_tried_again(node: Node) -> None:
    async def scenario() -> None:
        node.manager.refuse["Session"] = [UNAVAILABLE, UNAVAILABLE]
        async with node.agent():
            await node.manager.until(lambda: node.manager.sessions == 1)

    node.run(scenario)


def test_a_failed_heartbeat_ends_the_session(node: Node) -> None:
    async def scenario() -> None:
        node.manager.refuse["Heartbeat"] = [SwarmError(Code.REFUSED, "no such session")]
        async with node.agent():
            await node.manager.until(lambda: node.manager.sessions == 2)

    node.run(scenario)


def test_restart_with_tasks_running_ended_and_unreported(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks |= {name: task(name) for name in ("runs", "ended", "gone")}
        async with node.agent():
            for name in manager.tasks:
                await manager.reported(name, RUNNING)
        node.executor.containers["ended"].end(Exit(7))
        del node.executor.containers["gone"]
        node.executor.calls.clear()
        async with node.agent():
            ended = await manager.reported("ended", FAILED)
            assert ended.container.exit_code == 7
            lost = await manager.reported("gone", FAILED)
            assert lost.error == "no container gone"
            assert manager.state("runs") == RUNNING
        assert node.executor.steps("runs") == ["wait"]
        assert node.executor.steps("ended") == ["wait"]

    node.run(scenario)


def test_restart_while_no_manager_is_there(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks["a"] = task("a")
        async with node.agent():
            await manager.reported("a", RUNNING)
        await manager.stop()
        node.executor.containers["a"].end(Exit(9))
        async with node.agent() as agent:
            await until(lambda: agent.tasks().get("a", task("a")).status.state == FAILED)
        # The report that nobody took is on disk, and waits for no assignments.
        manager.hold_assignments = asyncio.Event()
        async with node.agent():
            await manager.start()
            failed = await manager.reported("a", FAILED)
            assert failed.container.exit_code == 9

    node.run(scenario)


@pytest.mark.parametrize("state", [ACCEPTED, PREPARING, READY, types_pb2.TASK_STATE_STARTING])
def test_a_task_that_was_cut_off_before_it_ran_is_done_again(node: Node, state: State) -> None:
    async def scenario() -> None:
        storage = await Storage.open(node.directory / "tasks.db")
        await storage.assign([task("a")], [])
        await storage.record({"a": objects_pb2.TaskStatus(state=state)})
        await storage.close()
        node.manager.tasks["a"] = task("a", state=state)
        async with node.agent():
            await node.manager.reported("a", RUNNING)

    node.run(scenario)


def test_containers_of_unassigned_tasks_go_only_once_a_manager_has_spoken(node: Node) -> None:
    async def scenario() -> None:
        node.executor.run("stray")
        node.executor.run("mine")
        node.manager.tasks["mine"] = task("mine")
        node.manager.refuse["Session"] = [UNAVAILABLE]
        async with node.agent() as agent:
            await gone(node, "stray")
            await node.manager.reported("mine", RUNNING)
            await node.manager.until(lambda: node.manager.completes == 1)
            agent.reconnect()
            await node.manager.assign(task("later"))
            await node.manager.reported("later", RUNNING)
            assert node.manager.completes == 2
        assert node.executor.steps("stray") == ["shutdown", "remove"]
        assert not node.executor.containers["mine"].ended.is_set()

    node.run(scenario)


def test_a_stray_container_is_kept_while_managers_are_away(node: Node) -> None:
    async def scenario() -> None:
        node.executor.run("stray")
        node.manager.refuse["Session"] = [UNAVAILABLE] * 3
        async with node.agent():
            await until(lambda: len(node.manager.refuse["Session"]) <= 1)
        assert node.executor.calls == []

    node.run(scenario)


def test_a_gap_in_the_assignments_asks_for_all_of_them(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks["a"] = task("a")
        async with node.agent():
            await manager.reported("a", RUNNING)
            manager.lose_a_message()
            manager.tasks["lost"] = task("lost")
            await manager.assign(task("b"))
            await manager.reported("lost", RUNNING)
            await manager.reported("b", RUNNING)
            assert (manager.completes, manager.sessions) == (2, 1)

    node.run(scenario)


def test_an_assignment_stream_that_ends_ends_the_session(node: Node) -> None:
    async def scenario() -> None:
        async with node.agent():
            await node.manager.until(lambda: node.manager.completes == 1)
            await node.manager.end_assignments()
            await node.manager.until(lambda: node.manager.completes == 2)
            assert node.manager.sessions == 2

    node.run(scenario)


def test_managers_that_know_less_than_the_node_are_told(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks["a"] = task("a")
        async with node.agent() as agent:
            await manager.reported("a", RUNNING)
            await until(lambda: not agent._reporter._unsent)
            manager.tasks["a"] = task("a")  # as after the restoring of an old backup
            manager.reports.clear()
            agent.reconnect()
            await manager.reported("a", RUNNING)
            assert manager.sessions == 2
        assert node.executor.steps("a") == ["prepare", "start", "wait"]

    node.run(scenario)


def test_a_node_that_changes_opens_a_new_session(node: Node) -> None:
    async def scenario() -> None:
        node.timing = Timing(description_check=0.02)
        async with node.agent():
            await node.manager.until(lambda: node.manager.sessions == 1)
            node.executor.description.resources.memory_bytes = 1 << 30
            await node.manager.until(lambda: node.manager.sessions == 2)
        assert node.manager.descriptions[-1].resources.memory_bytes == 1 << 30

    node.run(scenario)


class Renewing(NoNetworks):
    """Networks that hold up the first description of their node."""

    def __init__(self) -> None:
        self.asked, self.goes_on = asyncio.Event(), asyncio.Event()

    async def means(self) -> Means:
        self.asked.set()
        await self.goes_on.wait()
        return await super().means()


def test_a_new_session_is_opened_though_it_was_wished_while_the_node_was_described(
    node: Node,
) -> None:
    async def scenario() -> None:
        node.networks = networks = Renewing()
        async with node.agent() as agent:
            await networks.asked.wait()
            agent.reconnect()  # as after a renewal of the node's certificate
            networks.goes_on.set()
            await node.manager.until(lambda: node.manager.sessions == 2)
        assert len(node.dialled) == 2

    node.run(scenario)


def test_new_managers_are_remembered(node: Node) -> None:
    async def scenario() -> None:
        first = dispatcher_pb2.ManagerAddress(node_id="m", address="m.sock", weight=1)
        second = dispatcher_pb2.ManagerAddress(node_id="o", address="o.sock", weight=1)
        async with node.agent():
            await node.manager.until(lambda: node.manager.sessions == 1)
            await node.manager.announce(first, second)
            await until(lambda: len(node.heard) == 2)
        await node.manager.stop()
        node.seeds = []
        node.manager.path = node.directory / "o.sock"
        await node.manager.start()
        async with node.agent() as agent:
            assert node.manager.sessions == 1
            await node.manager.until(lambda: node.manager.sessions == 2)
            assert [m.node_id for m in agent.managers()] == ["m", "o"]

    node.run(scenario)


def test_a_dead_manager_is_left_for_one_that_lives(node: Node) -> None:
    async def scenario() -> None:
        dead = dispatcher_pb2.ManagerAddress(node_id="d", address="dead.sock", weight=64)
        node.seeds[0].weight = 1
        node.seeds.append(dead)
        async with node.agent():
            await node.manager.until(lambda: node.manager.sessions == 1)
        assert node.dialled.count("m.sock") == 1
        assert 1 <= node.dialled.count("dead.sock") <= 6

    node.run(scenario)


def test_the_leader_that_a_manager_names_gets_the_session_at_once(node: Node) -> None:
    async def scenario() -> None:
        follower = FakeManager(node.directory / "f.sock")
        follower.leader = "m.sock"
        node.seeds = [dispatcher_pb2.ManagerAddress(node_id="f", address="f.sock")]
        await follower.start()
        try:
            async with node.agent():
                await node.manager.until(lambda: node.manager.sessions == 1)
        finally:
            await follower.stop()
        assert node.dialled == ["f.sock", "m.sock"]

    node.run(scenario)


def test_managers_that_name_each_other_are_asked_until_one_leads(node: Node) -> None:
    async def scenario() -> None:
        node.manager.leader = "m.sock"
        async with node.agent():
            await until(lambda: node.manager.passed_on >= 5)
            node.manager.leader = ""
            await node.manager.until(lambda: node.manager.sessions == 1)

    node.run(scenario)


def test_a_manager_that_answers_is_tried_rather_than_one_that_is_gone(node: Node) -> None:
    """Also where it leads nobody for long: the others may be lost for good."""

    async def scenario() -> None:
        words = endings.not_leading()
        node.manager.refuse["Session"] = [words] * 4
        node.seeds.append(dispatcher_pb2.ManagerAddress(node_id="g", address="gone.sock"))
        async with node.agent():
            await node.manager.until(lambda: node.manager.sessions == 1)
        assert node.dialled.count("gone.sock") <= 1

    node.run(scenario)


def test_heartbeats_say_up_to_which_version_the_node_has_carried_out_what_it_was_told(
    node: Node,
) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.period = 0.02
        async with node.agent():
            await manager.until(lambda: manager.applied == 1)
            await manager.assign(task("a"))
            await manager.until(lambda: manager.applied == 2)

    node.run(scenario)


def test_a_message_that_somebody_waits_for_is_confirmed_at_once(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        async with node.agent():
            await manager.until(lambda: manager.heartbeats == 1 and manager.completes == 1)
            await manager.assign(task("a"), confirm=True)
            await manager.until(lambda: manager.applied == 2)
            assert manager.heartbeats == 2

    node.run(scenario)


class Unfinished(NoNetworks):
    """Networks of which something is left that the managers took back."""

    def __init__(self) -> None:
        self.done = False
        self.asked = 0

    def confirms(self) -> bool:
        self.asked += 1
        return self.done


def test_heartbeats_confirm_nothing_while_something_is_left_of_what_was_taken_back(
    node: Node,
) -> None:
    async def scenario() -> None:
        manager, networks = node.manager, Unfinished()
        manager.period = 0.02
        node.networks = networks
        async with node.agent():
            await manager.until(lambda: networks.asked > 3)
            assert manager.applied == 0
            networks.done = True
            await manager.until(lambda: manager.applied == 1)

    node.run(scenario)


class Slow(NoNetworks):
    """Networks that take a while to carry out the first thing they are told."""

    def __init__(self) -> None:
        self.began, self.goes_on = asyncio.Event(), asyncio.Event()

    async def follow(self, message: dispatcher_pb2.AssignmentsMessage) -> News:
        if self.began.is_set():
            return News()
        self.began.set()
        await self.goes_on.wait()
        return News((NodeNetwork(id="front", name="front"),))


def test_what_a_session_said_of_networks_is_kept_though_it_ends_meanwhile(node: Node) -> None:
    async def scenario() -> None:
        node.networks = networks = Slow()
        async with node.agent() as agent:
            await networks.began.wait()
            agent.reconnect()
            for _ in range(10):  # the session ends
                await asyncio.sleep(0)
            networks.goes_on.set()
            await node.manager.until(lambda: node.manager.completes == 2)
        storage = await Storage.open(node.directory / "tasks.db")
        saved = await storage.load()
        await storage.close()
        assert [each.id for each in saved.networks if isinstance(each, NodeNetwork)] == ["front"]

    node.run(scenario)


class Leases(NoVolumes):
    """Volumes that note what renews them."""

    def __init__(self) -> None:
        self.renewals: list[tuple[float, int]] = []
        self.told: list[int] = []

    def follow(self, message: dispatcher_pb2.AssignmentsMessage) -> None:
        self.told.append(message.version)

    def has_leases(self) -> bool:
        return bool(self.told)

    def renew(self, sent: float, applied: int) -> None:
        self.renewals.append((sent, applied))

    async def deliver(self, send: SendVolumes) -> None:
        await send([volume_pb2.NodeVolumeStatus(volume_id="v", epoch=3)])
        await super().deliver(send)


def test_a_heartbeat_renews_leases_from_its_sending_and_only_if_the_manager_says_so(
    node: Node,
) -> None:
    async def scenario() -> None:
        manager, leases = node.manager, Leases()
        manager.period = 0.02
        node.volumes = leases
        before = boot()
        async with node.agent():
            await manager.until(lambda: manager.applied == 1)
            assert (leases.renewals, leases.told) == ([], [1])
            manager.renews = True
            await manager.until(lambda: len(leases.renewals) > 2)
            assert all(before < sent < boot() for sent, _ in leases.renewals)
            assert {applied for _, applied in leases.renewals} == {1}
            await manager.until(lambda: len(manager.volume_words) == 1)
            assert manager.volume_words[0].epoch == 3

    node.run(scenario)
