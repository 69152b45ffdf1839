"""Containers that are no tasks on one host in no swarm, in the kernel: who reaches whom, how."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.v1 import containers_pb2, specs_pb2
from api.v1.network_pb2 import NetworkEndpoint
from hostkit import netns
from tests.support.fabric_hosts import (
    NOT_REACHED,
    PATIENCE,
    connected,
    cut_off,
    listening,
    look,
    reaches,
    seen_as,
)
from tests.support.lone_host import address, blocking, inside, run
from tests.support.task_host import Host
from tests.support.told_networks import a_task, answers, told
from worker.executor import TemporaryError
from worker.standalone.clothes import dressed

pytestmark = pytest.mark.root

Begin = Callable[[], Any]
Container = containers_pb2.Container
HOST = specs_pb2.PortConfig.PUBLISH_MODE_HOST


def a_bridge(name: str, **fields: Any) -> specs_pb2.NetworkSpec:
    spec = specs_pb2.NetworkSpec(driver="bridge", **fields)
    spec.annotations.name = name
    return spec


async def refused(call: Any) -> SwarmError:
    with pytest.raises(SwarmError) as caught:
        await call
    return caught.value


async def found(container: Container, name: str) -> list[str]:
    answer: list[str] = await blocking(answers, inside(container), name)
    return answer


def of(container: Container, name: str) -> Path:
    """A file of a container that runs."""
    return Path(f"/proc/{container.pid}/root", name)


def test_on_the_default_bridge_all_meet_and_nobody_has_a_name(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            one, two = await lone.run("one"), await lone.run("two")
            assert address(one, "bridge") == "172.17.0.2"
            assert await blocking(reaches, inside(one), inside(two), "172.17.0.3")
            assert await found(one, "two") == []
            seen = await blocking(seen_as, inside(one), lone.outside.path, lone.outside.address)
            assert seen == lone.at.address
            assert await blocking(cut_off, lone.outside.path, inside(one), "172.17.0.2")

    run(host, scenario)


def test_networks_of_the_host_have_names_and_are_apart(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            for name in ("front", "back"):
                await lone.containers.host.create(a_bridge(name))
            asked = lone.spec("web", "front")
            asked.networks[0].aliases.append("shop")
            web = await lone.containers.start((await lone.containers.create(asked)).id)
            client, other = await lone.run("client", "front"), await lone.run("other", "back")
            own = address(web, "front")
            for name in ("web", "shop", web.id[:12], "web.front"):
                assert await found(client, name) == [own]
            assert await found(other, "web") == []
            assert await blocking(reaches, inside(client), inside(web), own)
            assert await blocking(cut_off, inside(other), inside(web), own)

    run(host, scenario)


def test_a_network_of_both_families(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            await lone.containers.host.create(a_bridge("six", ipv6=True))
            port = specs_pb2.PortConfig(target_port=80, published_port=8080, mode=HOST)
            one, two = await lone.run("one", "six", ports=[port]), await lone.run("two", "six")
            own = one.networks[0].addresses[1].partition("/")[0]
            assert own == "fd73:7761:726d::2"
            assert await blocking(reaches, inside(two), inside(one), own)
            gateway = "fd73:7761:726d::1"
            for source in (lone.at.path, inside(two)):
                assert await blocking(served, source, inside(one), gateway, 8080)

    run(host, scenario)


def test_who_runs_is_connected_and_disconnected(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            await lone.containers.host.create(a_bridge("front"))
            web, other = await lone.run("web", "front"), await lone.run("other")
            asked = specs_pb2.NetworkAttachmentSpec(target="front", aliases=["guest"])
            asked.addresses.append(address(web, "front").rpartition(".")[0] + ".77")
            joined = await lone.containers.connect("other", asked)
            assert address(joined, "front") == asked.addresses[0]
            assert await found(other, "web") == [address(web, "front")]
            assert await found(web, "guest") == [asked.addresses[0]]
            assert await blocking(reaches, inside(other), inside(web), address(web, "front"))
            assert (await refused(lone.containers.connect("other", asked))).code is Code.EXISTS
            assert (await refused(lone.containers.host.remove("front"))).code is Code.REFUSED
            await lone.containers.disconnect("other", "front", force=False)
            assert await found(other, "web") == []
            assert await blocking(cut_off, inside(other), inside(web), address(web, "front"))
            error = await refused(lone.containers.disconnect("other", "front", force=False))
            assert error.code is Code.NOT_FOUND
            await lone.containers.disconnect("other", "front", force=True)
            await lone.containers.disconnect("other", "bridge", force=False)
            left = netns.call_in(inside(other), socket.if_nameindex)
            assert [name for _, name in left] == ["lo"]

    run(host, scenario)


def test_a_failed_connect_changes_nothing(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            await lone.containers.host.create(a_bridge("front"))
            web, other = await lone.run("web", "front"), await lone.run("other", "bridge")
            asked = specs_pb2.NetworkAttachmentSpec(target="front")
            asked.addresses.append(address(web, "front"))
            before = await lone.containers.inspect("other")
            assert (await refused(lone.containers.connect("other", asked))).code is Code.REFUSED
            assert await lone.containers.inspect("other") == before
            assert await blocking(reaches, inside(other), lone.outside.path, lone.outside.address)

    run(host, scenario)


def served(source: str, target: str, to: str, published: int, patience: float = PATIENCE) -> str:
    """Whom who listens at port 80 of `target` sees if `source` asks for a port of the host."""
    with listening(target, "::", 80) as server:
        made = connected(source, to, published, patience)
        if made is None:
            return ""
        with made, server.accept()[0] as taken:
            peer: str = taken.getpeername()[0]
            return peer.removeprefix("::ffff:")


def test_a_published_port_leads_to_the_container_and_shows_the_client(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            await lone.containers.host.create(a_bridge("front"))
            port = specs_pb2.PortConfig(target_port=80, mode=HOST)
            web = await lone.run("web", "front", ports=[port])
            published = web.ports[0].published_port
            assert published >= 32768
            other, own = await lone.run("other"), lone.at.address
            for source, seen in (
                (lone.outside.path, lone.outside.address),
                (lone.at.path, lone.at.address),
            ):
                assert await blocking(served, source, inside(web), own, published) == seen
            for source in (web, other):  # by hairpin, and over the wall between networks
                assert await blocking(served, inside(source), inside(web), own, published)
            local = await blocking(served, lone.at.path, inside(web), "127.0.0.1", published)
            assert local
            port.published_port = published
            error = await refused(lone.run("again", "front", ports=[port]))
            assert error.code is Code.REFUSED
            await lone.containers.stop("web", 0)
            assert not await blocking(connected, lone.outside.path, own, published, NOT_REACHED)

    run(host, scenario)


def test_an_internal_network_has_no_way_out_and_none_in(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            await lone.containers.host.create(a_bridge("vault", internal=True))
            port = specs_pb2.PortConfig(target_port=80, published_port=8080, mode=HOST)
            safe = await lone.run("safe", "vault", ports=[port])
            near = await lone.run("near", "vault")
            assert await blocking(reaches, inside(near), inside(safe), address(safe, "vault"))
            out = (inside(safe), lone.outside.path, lone.outside.address)
            assert await blocking(cut_off, *out)
            way = (lone.outside.path, inside(safe), lone.at.address, 8080)
            assert not await blocking(served, *way, NOT_REACHED)

    run(host, scenario)


def test_modes_without_a_network_of_their_own(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            none = await lone.run("none", "none")
            assert [n for _, n in netns.call_in(inside(none), socket.if_nameindex)] == ["lo"]
            owner = await lone.run("owner")
            guest = await lone.run("guest", "container:owner")
            assert await blocking(reaches, inside(guest), inside(owner), "127.0.0.1")
            asked = specs_pb2.NetworkAttachmentSpec(target="bridge")
            assert (await refused(lone.containers.connect("guest", asked))).code is Code.REFUSED
            unknown = lone.spec("lost", "container:nobody")
            assert (await refused(lone.containers.create(unknown))).code is Code.NOT_FOUND
            assert (
                await refused(lone.containers.remove("owner", force=False))
            ).code is Code.REFUSED
            await lone.containers.remove("owner", force=True)
            state = (await lone.containers.inspect("guest")).state
            assert state == Container.STATE_EXITED

    run(host, scenario)


@pytest.mark.parametrize("script", ["ln -s {secret} {file}", "mkfifo {file}"])
def test_who_shares_a_stack_is_shown_no_file_of_the_host(host: Host, script: str) -> None:
    secret = host.box.run_dir / "secret"
    secret.write_text("of the host")

    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            owner = await lone.run("owner")
            file = "/etc/resolv.conf"
            words = f"umount {file} && rm {file} && {script.format(secret=secret, file=file)}"
            enter = ("nsenter", "-m", "-t", str(owner.pid), "sh", "-c", words)
            await blocking(partial(subprocess.run, enter, check=True))
            guest = await lone.run("guest", "container:owner")
            assert "of the host" not in of(guest, "etc/resolv.conf").read_text()

    run(host, scenario)


def test_all_of_it_outlives_the_daemon(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            await lone.containers.host.create(a_bridge("front"))
            port = specs_pb2.PortConfig(target_port=80, published_port=8080, mode=HOST)
            web = await lone.run("web", "front", ports=[port])
            gone = await lone.run("gone", "front")
            links = look(lone.at.name, "-o link")
        async with begin() as lone:
            assert look(lone.at.name, "-o link") == links
            assert await lone.containers.inspect("web") == web
            assert await found(gone, "web") == [address(web, "front")]
            client = lone.outside
            seen = await blocking(served, client.path, inside(web), lone.at.address, 8080)
            assert seen == client.address
            await lone.containers.stop("web", 0)
            await lone.containers.remove("gone", force=True)
            shown = await lone.containers.inspect("web")
            assert (shown.state, list(shown.networks[0].addresses)) == (Container.STATE_EXITED, [])
            await lone.containers.host.remove("front")
            assert "swb-" not in look(lone.at.name, "-o link")

    run(host, scenario)


def test_containers_stay_when_the_host_leaves_its_swarm(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            await lone.containers.host.create(a_bridge("front"))
            web, client = await lone.run("web", "front"), await lone.run("client", "front")
            await lone.networks.restore(lone.at.name, told(lone.at), (), ())
            joined = await lone.networks.join(a_task())
            assert joined is not None
            assert await found(client, "web") == [address(web, "front")]
            await lone.networks.clear()
            assert not netns.exists(joined.path.rpartition("/")[2])
            assert "vx4097" not in look(f"{lone.at.name}-net-fabric", "-o link")
            assert await found(client, "web") == [address(web, "front")]
            assert await blocking(reaches, inside(client), inside(web), address(web, "front"))

    run(host, scenario)


def test_a_container_keeps_a_place_while_another_is_not_told_yet(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            networks = lone.containers.host
            early = await networks.create(a_bridge("early"))
            late = await networks.create(a_bridge("late"))
            task = dressed(await lone.containers.create(lone.spec("box")))
            del task.networks[:]
            task.networks.add(network_id=early.id)
            task.networks.add(network_id=late.id)
            await networks.give(early, NetworkEndpoint(task_id=task.id))
            for _ in range(2):
                with pytest.raises(TemporaryError, match=late.id):
                    await lone.tasks.prepare(task)
            await networks.give(late, NetworkEndpoint(task_id=task.id))
            await lone.tasks.prepare(task)
            assert len(await lone.networks.addresses(task.id)) == 2
            await lone.tasks.remove(task)

    run(host, scenario)


def test_what_ended_while_no_daemon_was_there_leaves_nothing(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            one = await lone.run("one")
        os.kill(one.pid, signal.SIGKILL)
        await lone.driver.wait(one.id)
        async with begin() as lone:
            assert (await lone.containers.inspect("one")).state == Container.STATE_EXITED
            assert "swb-" not in look(lone.at.name, "-o link")
            assert address(await lone.run("two"), "bridge") == "172.17.0.2"

    run(host, scenario)


def test_an_endpoint_in_no_network_is_forgotten_at_the_next_start(host: Host) -> None:
    nowhere = NetworkEndpoint(network_id="none", task_id="lost")

    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            await lone.run("web")
            await lone.containers._storage.write([nowhere])
        async with begin() as lone:
            assert (await lone.containers.inspect("web")).pid
            kept = await lone.containers._storage.load()
            assert [each.network_id for each in kept.endpoints] == ["bridge"]

    run(host, scenario)


def test_what_has_ended_starts_again_with_what_it_wrote(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            await lone.containers.host.create(a_bridge("front"))
            port = specs_pb2.PortConfig(target_port=80, mode=HOST)
            web, other = await lone.run("web", "front", ports=[port]), await lone.run("other")
            of(web, "kept").write_text("here")
            await lone.containers.stop("web", 0)
            early = await lone.run("early", "front")  # has its address by now
            again = await lone.containers.start("web")
            assert of(again, "kept").read_text() == "here"
            own = address(again, "front")
            assert own != address(web, "front") == address(early, "front")
            hosts = of(again, "etc/hosts").read_text()
            assert (own in hosts, address(web, "front") in hosts) == (True, False)
            assert await found(early, "web") == [own]
            published = again.ports[0].published_port
            source = (lone.outside.path, inside(again), lone.at.address, published)
            assert await blocking(served, *source) == lone.outside.address
            assert (await lone.containers.start("web")).pid == again.pid
            os.kill(again.pid, signal.SIGKILL)
            await lone.driver.wait(again.id)
        async with begin() as lone:
            third = await lone.containers.start("web")
            assert of(third, "kept").read_text() == "here"
            assert await lone.containers.inspect("other") == other

    run(host, scenario)


def test_a_second_start_that_fails_loses_nothing(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            port = specs_pb2.PortConfig(target_port=80, published_port=8080, mode=HOST)
            web = await lone.run("web", ports=[port])
            of(web, "kept").write_text("here")
            await lone.containers.stop("web", 0)
            thief = await lone.run("thief", ports=[port])
            assert (await refused(lone.containers.start("web"))).code is Code.REFUSED
            await lone.containers.remove(thief.id, force=True)
            again = await lone.containers.start("web")
            assert of(again, "kept").read_text() == "here"

    run(host, scenario)


def test_a_task_may_be_on_its_nodes_default_bridge(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            one = await lone.run("one")
            task = host.task("sh", "-c", "sleep 100")
            task.spec.networks.add(target="bridge")
            await lone.networks.restore(lone.at.name, (), (), ())
            await lone.tasks.prepare(task)
            path = lone.at.name + "-net-task-" + task.id
            assert await blocking(reaches, inside(one), str(netns.path(path)), "172.17.0.3")
            await lone.tasks.remove(task)
            two = await lone.run("two")
            assert address(two, "bridge") == "172.17.0.3"

    run(host, scenario)


def test_a_name_is_one_containers(host: Host) -> None:
    async def scenario(begin: Begin) -> None:
        async with begin() as lone:
            first = await lone.containers.create(lone.spec("web", "none"))
            assert (await refused(lone.containers.create(lone.spec("web")))).code is Code.EXISTS
            assert [each.id for each in await lone.containers.every(stopped=True)] == [first.id]
            assert await lone.containers.every(stopped=False) == []
            key = first.id[:8]
            assert await lone.containers.remove(key, force=False) == first.id
            assert (await refused(lone.containers.inspect("web"))).code is Code.NOT_FOUND

    run(host, scenario)
