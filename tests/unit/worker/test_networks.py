"""The networks of a node as its agent and executor see them: names, order, ends."""

import asyncio
import subprocess
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NoReturn

import pytest

from api.network_digest import digest
from api.v1 import check_pb2, dispatcher_pb2, network_pb2, objects_pb2
from hostkit import clock, netns
from overlay_net.nft import LibNft
from tests.support.encrypting import unused_encryption
from tests.support.fabric_hosts import FabricHost, underlay
from tests.support.told_networks import a_task, answers, message, told
from worker import networks
from worker.data_path import DataPath
from worker.executor import TemporaryError
from worker.names import Names
from worker.network_book import News
from worker.networks import KernelNetworks

pytestmark = pytest.mark.root

Message = dispatcher_pb2.AssignmentsMessage


def run(
    scenario: Callable[[KernelNetworks, FabricHost], Awaitable[None]], *, look: float = 0
) -> None:
    async def whole(host: FabricHost) -> None:
        nft = LibNft()

        def data_path(node_id: str) -> DataPath:
            return DataPath(
                node_id,
                nft,
                unused_encryption(nft, host),
                host=host.path,
                prefix=f"{host.name}-net",
            )

        names = Names(nft, clock.monotonic)
        made = KernelNetworks(names, clock.monotonic, data_path, host=host.path, look_every=look)
        try:
            await made.restore(host.name, (), (), ())
            await scenario(made, host)
        finally:
            await made.close()

    with underlay(1) as laid:
        asyncio.run(whole(laid.hosts[0]))


def test_a_task_finds_names_in_its_networks_until_it_leaves() -> None:
    async def scenario(made: KernelNetworks, host: FabricHost) -> None:
        with pytest.raises(TemporaryError):
            await made.join(a_task())
        assert await made.follow(message(told(host))) == News(tuple(told(host)))
        joined = await made.join(a_task())
        assert joined is not None
        assert joined.addresses == ("10.0.1.5",)
        assert "nameserver 127.0.0.11\nsearch example.org\n" in joined.resolv_conf
        assert await asyncio.to_thread(answers, joined.path, "web") == ["10.0.1.2"]
        assert await asyncio.to_thread(answers, joined.path, "tasks.web") == ["10.0.1.5"]
        assert made.confirms()
        await made.leave("t1")
        assert not netns.exists(joined.path.rpartition("/")[2])

    run(scenario)


def test_what_was_broken_off_is_heard_with_the_next_complete_message() -> None:
    async def scenario(made: KernelNetworks, host: FabricHost) -> None:
        began, goes_on = threading.Event(), threading.Event()
        data_path = made._here()
        converge = data_path.converge

        def held(*, look: bool = False) -> None:
            began.set()
            goes_on.wait()
            converge(look=look)

        data_path.converge = held  # type: ignore[method-assign]
        following = asyncio.create_task(made.follow(message(told(host))))
        await asyncio.to_thread(began.wait)
        following.cancel()
        await asyncio.wait({following})
        goes_on.set()
        assert await made.follow(message(told(host))) == News()
        joined = await made.join(a_task())
        assert joined is not None
        assert await asyncio.to_thread(answers, joined.path, "web") == ["10.0.1.2"]
        await made.follow(message(told(host, serving=False)))
        waits = asyncio.ensure_future(made.drained(a_task()))
        await asyncio.sleep(0)
        assert not waits.done()
        waits.cancel()

    run(scenario)


def test_another_daemon_answers_again() -> None:
    async def scenario(made: KernelNetworks, host: FabricHost) -> None:
        await made.follow(message(told(host)))
        joined = await made.join(a_task())
        assert joined is not None
        await made.restore(host.name, told(host), [a_task()], ())
        assert await asyncio.to_thread(answers, joined.path, "web") == ["10.0.1.2"]
        await made.restore(host.name, told(host), [], ["t1"])
        assert netns.exists(joined.path.rpartition("/")[2])
        await made.restore(host.name, told(host), [], ())
        assert not netns.exists(joined.path.rpartition("/")[2])

    run(scenario)


def test_who_stops_waits_until_others_have_heard_of_it() -> None:
    async def scenario(made: KernelNetworks, host: FabricHost) -> None:
        await made.follow(message(told(host)))
        await made.drained(a_task())
        await made.follow(message(told(host, serving=False)))
        waits = asyncio.ensure_future(made.drained(a_task()))
        await asyncio.sleep(0)
        assert not waits.done()
        drained = Message()
        drained.changes.add(drained=dispatcher_pb2.DrainedTask(task_id="t1"))
        await made.follow(drained)
        await waits

    run(scenario)


def test_a_task_without_networks_needs_none() -> None:
    async def scenario(made: KernelNetworks, _: FabricHost) -> None:
        assert await made.join(objects_pb2.Task(id="t2")) is None
        hosts = objects_pb2.Task(id="t3")
        hosts.spec.networks.add(target="host")
        hosts.host_ports.add(target_port=80, published_port=80)
        assert await made.join(hosts) is None

    run(scenario)


Order = check_pb2.CheckOrder


async def wrong(made: KernelNetworks) -> list[str]:
    answer = await made.check(Order(id="c"))
    assert answer.order_id == "c"
    assert not answer.error
    return [each.what for each in answer.report.findings if not each.note]


def nft(target: str, text: str) -> None:
    subprocess.run(["nsenter", f"--net={target}", "nft", *text.split()], check=True)


def test_what_others_did_is_found_and_mended_when_asked() -> None:
    async def scenario(made: KernelNetworks, host: FabricHost) -> None:
        await made.follow(message(told(host)))
        joined = await made.join(a_task())
        assert joined is not None
        assert await wrong(made) == []
        nft(joined.path, "flush ruleset")
        assert await wrong(made) == [
            "rules, routes or settings of task web.1 are not as they ought to be",
            "the name server of task web.1 does not answer",
        ]
        mended = await made.check(Order(id="c", fix=True))
        assert len(mended.report.fixes) == 2
        assert await wrong(made) == []
        assert await asyncio.to_thread(answers, joined.path, "web") == ["10.0.1.2"]

    run(scenario)


def test_what_others_did_is_mended_by_itself_and_told_of() -> None:
    async def scenario(made: KernelNetworks, host: FabricHost) -> None:
        await made.follow(message(told(host)))
        joined = await made.join(a_task())
        assert joined is not None
        nft(joined.path, "flush ruleset")
        while True:
            found = (await made.check(Order())).report.findings
            if any("put something right by itself" in each.what for each in found):
                break
        assert await wrong(made) == []
        assert await asyncio.to_thread(answers, joined.path, "web") == ["10.0.1.2"]

    run(scenario, look=0.1)


def test_looks_and_turns_go_on_though_each_breaks_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "TEND", 0.01)
    done: Counter[str] = Counter()

    def breaks(what: str) -> Callable[[], NoReturn]:
        def broken() -> NoReturn:
            done[what] += 1
            raise RuntimeError("can't start new thread")

        return broken

    async def scenario(made: KernelNetworks, _: FabricHost) -> None:
        data_path = made._here()
        data_path.heal = breaks("look")  # type: ignore[method-assign]
        data_path.tend = breaks("turn")  # type: ignore[method-assign]
        async with asyncio.timeout(20):
            while min(done["look"], done["turn"]) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    run(scenario, look=0.01)


def test_what_was_told_is_said_as_digests() -> None:
    async def scenario(made: KernelNetworks, host: FabricHost) -> None:
        items = told(host)
        await made.follow(message(items))
        answer = await made.check(Order(digests_only=True))
        found = {each.network_id: each.sum for each in answer.digests}
        peers = [each for each in items if isinstance(each, network_pb2.NetworkPeer)]
        others = [each for each in items if each not in peers]
        assert found == {"": digest(peers), "front": digest(reversed(others))}
        assert not answer.report.networks

    run(scenario)


def test_another_firewall_is_told_of_and_let_pass_only_when_asked() -> None:
    async def scenario(made: KernelNetworks, host: FabricHost) -> None:
        await made.follow(message(told(host)))
        await made.join(a_task())
        nft(host.path, "add table inet other")
        hook = "{ type filter hook forward priority 0; policy drop; }"
        nft(host.path, f"add chain inet other passing {hook}")
        (what,) = await wrong(made)
        assert what == "table inet other drops what this host forwards"
        (known,) = made.obstacles()
        assert known.what == what
        assert "swb-gateway" in known.command

    run(scenario)


def test_a_door_that_nobody_found_shut_is_a_note() -> None:
    async def scenario(made: KernelNetworks, host: FabricHost) -> None:
        await made.follow(message(told(host)))
        nft(host.path, "add table inet other")
        hook = "{ type filter hook input priority 0; policy drop; }"
        nft(host.path, f"add chain inet other door {hook}")
        (found,) = (await made.check(Order(id="c"))).report.findings
        assert found.what == "table inet other drops what comes to this host"
        assert (found.note, found.mends) == (True, True)

    run(scenario)


def test_a_node_that_leaves_its_swarm_forgets_whom_it_led_to_names() -> None:
    async def scenario(made: KernelNetworks, host: FabricHost) -> None:
        await made.follow(message(told(host)))
        await made.join(a_task())
        redirects = made._names.redirects
        assert len(redirects._ports) == 1
        await made.clear()
        assert redirects._ports == {}
        assert made._names._served == {}

    run(scenario)


def test_a_node_that_is_in_no_swarm_says_so() -> None:
    async def scenario(made: KernelNetworks, host: FabricHost) -> None:
        await made.clear()
        assert (await made.check(Order(id="c"))).error == "this node is in no swarm"

    run(scenario)
