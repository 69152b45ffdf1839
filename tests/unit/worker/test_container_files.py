"""Secrets and configs in real containers: waited for, mounted, kept beyond the daemon, removed."""

import os

import pytest

from api.payloads import Content
from api.v1 import objects_pb2
from tests.support.task_host import OBEYS, Host
from worker.container import ContainerExecutor
from worker.executor import TemporaryError

pytestmark = pytest.mark.root


def with_secret(host: Host, *command: str, **changes: object) -> objects_pb2.Task:
    task = host.task(*command, **changes)
    task.spec.container.secrets.add(source="db", id="1", mode=0o400)
    return task


def left(host: Host) -> list[str]:
    return os.listdir(host.files) if host.files.exists() else []


def test_a_task_waits_for_its_secret_and_then_has_it(host: Host) -> None:
    script = "stat -c %a /run/secrets/db; [ $(cat /run/secrets/db) = hidden ] && exit 7"
    task = with_secret(host, "sh", "-c", script, read_only=True)

    async def scenario(executor: ContainerExecutor) -> int:
        with pytest.raises(TemporaryError, match="secret db is not on this node yet"):
            await executor.prepare(task)
        assert left(host) == []
        executor.hold({("secret", "1"): Content(b"hidden")})
        await executor.prepare(task)
        # Whether the managers are there or not from now on, it has what it needs.
        executor.hold({})
        await executor.start(task)
        code = (await executor.wait(task)).code
        assert left(host) == [], "what has ended needs none"
        return code

    assert host.run(scenario) == 7


def test_a_container_that_cannot_be_made_leaves_no_secret(host: Host) -> None:
    task = with_secret(host, "true", user="nobody-knows")

    async def scenario(executor: ContainerExecutor) -> None:
        executor.hold({("secret", "1"): Content(b"hidden")})
        with pytest.raises(Exception, match="nobody-knows"):
            await executor.prepare(task)

    host.run(scenario)
    assert left(host) == []


def test_a_daemon_that_starts_keeps_what_containers_use_and_sweeps_the_rest(host: Host) -> None:
    task = with_secret(host, *OBEYS)

    async def before(executor: ContainerExecutor) -> None:
        executor.hold({("secret", "1"): Content(b"hidden")})
        await executor.prepare(task)
        await executor.start(task)

    async def after(executor: ContainerExecutor) -> None:
        assert list(await executor.recover()) == [task.id]
        assert left(host) == [task.id]
        # Nothing is held, and nothing is needed: the container is there.
        await executor.prepare(task)
        await executor.start(task)
        await executor.shutdown(task)
        assert left(host) == []

    host.run(before, leave=True)
    (host.files / "half-made").mkdir()
    host.run(after)


def test_a_task_that_never_ran_leaves_none(host: Host) -> None:
    tasks = [with_secret(host, "true"), with_secret(host, "true")]

    async def scenario(executor: ContainerExecutor) -> None:
        executor.hold({("secret", "1"): Content(b"hidden")})
        for task in tasks:
            await executor.prepare(task)
        await executor.remove(tasks[0])
        assert left(host) == [tasks[1].id]
        assert await executor.terminate(tasks[1]) is None

    host.run(scenario)
    assert left(host) == []
