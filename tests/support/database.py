"""A database of a lab swarm: a service that writes to a volume of the swarm, over SSH."""

import asyncio
import contextlib
from collections.abc import Iterator

from tests.support import records
from tests.support.cluster import TOOLS, Container, Swarm
from tests.support.lab_storage import LabStorage, started_storage


class Database:
    """A volume `data` of the swarm, and a service that writes to it on one of the workers."""

    def __init__(self, swarm: Swarm, storage: LabStorage, lease: str) -> None:
        self._swarm = swarm
        self._data = storage.fresh("data")
        self._acks = storage.fresh("acks")
        given = storage.options("data")
        del given["identity_file"]
        options = [word for key, value in given.items() for word in ("-o", f"{key}={value}")]
        options += ["--secret", "identity=key", "--lease", lease]
        swarm.ctl("volume", "create", "-d", "sshfs", *options, "data")
        swarm.create(
            "db",
            *("--mount", "type=volume,source=data,target=/data"),
            *("--mount", f"type=bind,source={self._acks},target=/acks"),
            *("--hostname", "{{.Task.ID}}", "--constraint", "node.role==worker"),
            *("--constraint", f"node.hostname!={storage.host}"),
            *("--restart-delay", "0s", TOOLS, "sh", "-c", records.WRITER),
        )
        self.first = self._at_work()

    def moved(self) -> Container:
        """The writer that took the place of the first, once it is at work on another host."""
        second = self._at_work(self.first.task_id)
        assert second.host != self.first.host
        return second

    def checked(self) -> list[str]:
        """The writers in their order: nothing was lost, and never were there two."""
        return records.check(self._data / "log", self._acks)

    def goes_on(self) -> int:
        """How much was acknowledged, once it is more than now."""
        before = len(records.acks(self._acks))
        return self._swarm.until(lambda: self._more_than(before + 10), "it goes on", timeout=60)

    def _more_than(self, before: int) -> int:
        now = len(records.acks(self._acks))
        return now if now > before else 0

    def _at_work(self, *before: str) -> Container:
        def works() -> list[Container]:
            fresh = {each.writer for each in records.acks(self._acks)} - set(before)
            return [each for each in self._swarm.on("db") if each.task_id in fresh]

        return self._swarm.until(works, "a writer is at work", timeout=90)[0]


def storage_of(swarm: Swarm, host: str) -> LabStorage:
    """Starts an SSH server on a host; its key is the secret `key` of the swarm."""
    found = asyncio.run(started_storage(swarm.host(host)))
    swarm.ctl("secret", "create", "key", str(found.folder / "client"))
    return found


@contextlib.contextmanager
def a_database(swarm: Swarm, storage: LabStorage, lease: str) -> Iterator[Database]:
    """A database at work; at the end no mount of it is left on any host."""
    yield Database(swarm, storage, lease)
    swarm.mend()
    swarm.clear()
    swarm.until(
        lambda: swarm.ctl("volume", "rm", "data", code=None).code == 0,
        "the volume is nobody's",
        timeout=60,
    )
    # A lease that has ended is the manager's word; its mount goes on the host by itself.
    swarm.until(
        lambda: not any(mounts_of(swarm, host) for host in swarm.hosts()), "no mount is left"
    )


def mounts_of(swarm: Swarm, host: str) -> str:
    """The mounts by sshfs of a host."""
    return swarm.inside(host, "sh", "-c", "grep sshfs /proc/mounts || true").out
