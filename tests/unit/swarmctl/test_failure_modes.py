"""What may be wrong with a manager: each says so in the words that
docs/how-to/when-a-manager-does-not-start.md quotes, the others go on, and the way out that is told
there leads back to a group in which nothing is missing.
"""

import asyncio
import re
import secrets
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.identity import Credentials
from api.times import timestamp
from api.v1 import control_pb2, host_pb2, raft_pb2
from hostkit.clock import wall
from manager.raft.durable.damage import REJOIN
from swarmctl import safe
from swarmctl.certificate import CertificateKeeper
from swarmctl.joining import Joiner
from tests.support.inner_host import Host
from tests.support.inner_swarm import DAY, WORKER, Swarm, swarm
from tests.support.ports import free_pair

pytestmark = pytest.mark.managers

HOUR = 3600.0
WAY_OUT = re.escape(f". {REJOIN[0].upper()}{REJOIN[1:]}")
OR_WAY_OUT = re.escape(f"; without it, {REJOIN}")
FIRST, SECOND, THIRD = (f"{number:016d}.wal" for number in (1, 2, 3))


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario()

    asyncio.run(main())


async def restart(host: Host) -> None:
    await host.stop()
    await host.resume()


async def refusal(host: Host) -> SwarmError:
    """Why the manager does not start; and the same once more, as when it is started again."""
    said = []
    for _ in range(2):
        with pytest.raises(SwarmError) as caught:
            await host.resume()
        said.append(str(caught.value))
    assert said[0] == said[1]
    return caught.value


async def replaced(s: Swarm, name: str, through: Host) -> None:
    """The way out: `node demote`, `node rm`, an empty folder, `swarm join`."""
    host = s[name]
    membership = host.memberships.read()
    assert membership is not None
    await through.set_role(membership.node_id, WORKER)
    await s.until_manager_status(through, membership.node_id, False)
    async with through.control() as control:
        removal = control_pb2.RemoveRequest(
            key=membership.node_id, request_id=f"rm-{name}", force=True
        )
        await control.RemoveNode(removal, timeout=20)
    shutil.rmtree(host.state_dir / "swarm")
    await s.join(name, manager=True)
    assert s[name].node_id != membership.node_id
    await s.full(3)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def spoil_the_middle(log: Path) -> None:
    flip(log / FIRST, (log / FIRST).stat().st_size // 2)


def lose_the_first(log: Path) -> None:
    (log / FIRST).unlink()


def lose_the_second(log: Path) -> None:
    (log / SECOND).unlink()


def lose_the_log(log: Path) -> None:
    shutil.rmtree(log)


def lose_the_place(log: Path) -> None:
    log.with_suffix(".json").unlink()


def spoil_the_place(log: Path) -> None:
    log.with_suffix(".json").write_text('{"format": 1}')


def lose_the_keys(log: Path) -> None:
    log.with_name("manager.key").unlink()


def take_anothers_keys(log: Path) -> None:
    shutil.copy(log.parents[2] / "m2" / "swarm" / "manager.key", log.with_name("manager.key"))


DAMAGE = [
    (
        spoil_the_middle,
        Code.INTERNAL,
        rf"{FIRST} is damaged at byte \d+: the (checksum|head) of record \d+ is (wrong|broken), "
        rf"and a later segment follows{WAY_OUT}",
    ),
    (
        lose_the_first,
        Code.INTERNAL,
        rf"the beginning of the log is missing: {SECOND} begins at entry \d+, those from \d+ on "
        rf"are nowhere{WAY_OUT}",
    ),
    (
        lose_the_second,
        Code.INTERNAL,
        rf"{SECOND} is missing: {FIRST} and {THIRD} are there{WAY_OUT}",
    ),
    (
        lose_the_log,
        Code.INTERNAL,
        rf"the log in \S+/swarm/manager is gone: the folder was emptied or replaced{WAY_OUT}",
    ),
    (
        lose_the_place,
        Code.INTERNAL,
        r"this manager's place in its group is gone from \S+/swarm/manager\.json: the file was "
        rf"removed, or the folder replaced{WAY_OUT}",
    ),
    (
        spoil_the_place,
        Code.INTERNAL,
        r"cannot read this manager's place in its group in \S+/swarm/manager\.json: it is not what "
        rf"was written there: KeyError\('members'\){WAY_OUT}",
    ),
    (
        lose_the_keys,
        Code.INTERNAL,
        r"the key file \S+/swarm/manager\.key is gone: without it nobody can read this manager's "
        rf"log\. Put back the one that belongs to this state folder{OR_WAY_OUT}",
    ),
    (
        take_anothers_keys,
        Code.DENIED,
        rf"{FIRST} cannot be unsealed: it is sealed under key [0-9a-f]{{16}}, not in "
        r"\S+/swarm/manager\.key\. Put back the key file that belongs to this state folder"
        rf"{OR_WAY_OUT}",
    ),
]


@pytest.mark.parametrize(
    ("harm", "code", "words"), DAMAGE, ids=[each[0].__name__ for each in DAMAGE]
)
def test_a_manager_whose_disk_is_not_what_it_was_says_so_and_is_replaced(
    tmp_path: Path, harm: Callable[[Path], None], code: Code, words: str
) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            await s["m3"].create("before")
            made = {"before"}
            for name in ("once", "twice"):  # each start begins a segment
                await restart(s["m3"])
                await s["m3"].create(name)
                made.add(name)
            former = s["m3"].manager.node.raft_id
            await s["m3"].stop()
            harm(s["m3"].memberships.log)

            error = await refusal(s["m3"])
            assert re.fullmatch(words, str(error)), str(error)
            assert error.code is code
            await s["m1"].create("two-suffice")

            await replaced(s, "m3", s["m1"])
            node = s["m3"].manager.node
            assert node.raft_id != former
            assert former not in node.members
            assert await s["m3"].services() == made | {"two-suffice"}
            await s["m3"].create("three-again")

    run(scenario)


def test_an_old_copy_that_was_put_back_is_noticed_and_the_manager_is_replaced(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            await s["m1"].create("before")
            log = s["m3"].memberships.log
            await s["m3"].stop()
            copy = shutil.copytree(log, tmp_path / "copy")
            await s["m3"].resume()
            await s["m3"].create("later")
            await s["m3"].stop()
            shutil.rmtree(log)
            copy.rename(log)

            await s["m3"].resume()
            await s.until(lambda: s["m3"].failures)
            said = str(s["m3"].failures[0])
            assert re.fullmatch(
                r"this manager's log contradicts its group's: entry \d+ is said to be committed, "
                r"the last is \d+\. Its disk lost something, an old copy of its folder was put "
                r"back, or this is a defect of swarmd: keep a copy of the folder for a report; "
                rf"then, {re.escape(REJOIN)}",
                said,
            ), said
            await s["m3"].stop()
            await s["m1"].create("two-suffice")
            s["m3"].failures.clear()
            await replaced(s, "m3", s["m1"])
            assert await s["m3"].services() == {"before", "later", "two-suffice"}

    run(scenario)


def test_the_right_key_file_put_back_opens_the_log_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path) as s:
            await s["m1"].create("before")
            await s["m1"].stop()
            keys = s["m1"].memberships.keys
            kept = keys.read_bytes()

            keys.chmod(0o644)
            assert str(await refusal(s["m1"])) == (
                f"the key file {keys} is not used: others than its owner may read or write it. "
                f"Chmod 600 {keys}"
            )
            keys.write_bytes(b"swarm-keys 2")
            keys.chmod(0o600)
            assert str(await refusal(s["m1"])) == (
                f"the key file {keys} is not used: it is not a list of 32-byte keys as this "
                "version writes it. Put back the key file that belongs to this state folder"
            )
            keys.unlink()
            assert (await refusal(s["m1"])).what == f"the key file {keys} is gone"

            keys.write_bytes(kept)
            keys.chmod(0o600)
            await s["m1"].resume()
            assert await s["m1"].services() == {"before"}

    run(scenario)


def test_two_lives_on_one_folder_are_one_too_many(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path) as s:
            await s["m1"].create("before")
            second = Host(s["m1"].state_dir)
            error = await refusal(second)
            assert str(error) == (
                f"cannot use {s['m1'].memberships.log}: another process holds its lock. Stop the "
                "other swarmd, or give this one a state folder of its own"
            )
            await s["m1"].create("after")
            await restart(s["m1"])
            assert await s["m1"].services() == {"before", "after"}

    run(scenario)


def test_managers_whose_certificates_all_ended_sign_their_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3, workers=1) as s:
            await s["m2"].create("before")
            await s.stop()
            for host in s.hosts.values():
                s.expire(host)

            await asyncio.gather(*(host.resume() for host in s.hosts.values()))
            await s.full(3)
            for host in s.hosts.values():
                await s.until(lambda: host.valid_until() > wall())  # noqa: B023 - called at once
                await s.until(lambda: host.present.complaint() == "")  # noqa: B023
            await s["m3"].create("after")
            assert await s["m1"].services() == {"before", "after"}

    run(scenario)


def test_a_manager_that_cannot_sign_its_own_certificate_asks_the_others(tmp_path: Path) -> None:
    async def cannot(_: Credentials) -> Credentials:
        raise SwarmError(Code.UNAVAILABLE, "this manager does not know the cluster's state yet")

    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            host = s["m3"]
            await host.stop()
            s.expire(host)
            membership = host.memberships.read()
            assert membership is not None
            changed = asyncio.Event()
            keeper = CertificateKeeper(
                safe.found(host.memberships, membership),
                addresses=lambda: [s["m1"].present.membership.advertise_address],
                others=lambda: [s["m1"].present.membership.advertise_address],
                own=cannot,
                changed=lambda *_: changed.set(),
                is_shut_out=lambda: False,
                chance=secrets.SystemRandom(),
            )
            keeping = asyncio.create_task(keeper.run())
            await changed.wait()
            keeping.cancel()
            await asyncio.wait({keeping})
            assert host.valid_until() > wall()
            await host.resume()
            await s.full(3)

    run(scenario)


def test_managers_are_restarted_one_by_one_as_for_an_upgrade(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            made = set()
            for round_ in ("there", "and-back"):
                for name in ("m2", "m3", "m1"):
                    await s[name].stop()
                    other = "m1" if name != "m1" else "m2"
                    await s[other].create(f"{round_}-without-{name}")
                    made.add(f"{round_}-without-{name}")
                    await s[name].resume()
                    await s.full(3)
                    assert await s[name].services() == made

    run(scenario)


def test_an_older_manager_stops_at_a_newer_command_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            await s["m1"].create("before")
            await s["m3"].stop()

            with monkeypatch.context() as newer:
                newer.setattr("manager.state.machine.COMMAND_VERSION", 2)
                await propose_of_version(s, 2)
            assert s["m1"].failures == s["m2"].failures == []

            await s["m3"].resume()
            await s.until(lambda: s["m3"].failures)
            said = str(s["m3"].failures[0])
            assert re.fullmatch(
                r"entry \d+ of the log cannot be applied: it is of version 2, this swarmd knows "
                r"versions up to 1\. Install the version of swarmd that the other managers run",
                said,
            ), said
            await s["m3"].stop()
            await s["m1"].create("two-suffice")

            s["m3"].failures.clear()
            with monkeypatch.context() as newer:
                newer.setattr("manager.state.machine.COMMAND_VERSION", 2)
                await s["m3"].resume()
                await s.full(3)
                assert await s["m3"].services() == {"before", "two-suffice"}
                await s["m3"].create("three-again")

    run(scenario)


async def propose_of_version(s: Swarm, version: int) -> None:
    """An entry as a later version would make it, which all managers but m3 apply."""
    leader = s.leader()
    assert leader is not None
    node = leader.manager.node
    command = raft_pb2.Command(version=version, at=timestamp(wall()))
    await node.append(command.SerializeToString())
    for name in ("m1", "m2"):
        other = s[name].manager.node
        await s.until(lambda: other.applied >= node.applied)  # noqa: B023 - called at once


def test_a_wiped_manager_comes_back_under_another_id(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path, managers=3) as s:
            await s["m1"].create("before")
            former = s["m3"].manager.node.raft_id
            gone = s["m3"].node_id
            await s["m3"].stop()
            shutil.rmtree(s["m3"].state_dir)
            s["m3"].state_dir.mkdir()

            # Its old seat counts until it is taken away: four managers, of which three have to
            # agree.
            await s.join("m3", manager=True)
            await s.full(4)
            await s["m1"].set_role(gone, WORKER)
            await s.until_manager_status(s["m1"], gone, False)
            await s.full(3)
            node = s["m3"].manager.node
            assert former not in (node.raft_id, *node.members)
            assert await s["m3"].services() == {"before"}

    run(scenario)


async def lead_by_a_wrong_clock(s: Swarm, monkeypatch: pytest.MonkeyPatch, wrong: float) -> None:
    """The only manager starts again, and its clock is wrong by so many seconds."""
    await s["m1"].stop()
    with monkeypatch.context() as patched:
        patched.setattr("swarmctl.managership.wall", lambda: wall() + wrong)
        await s["m1"].resume()


def a_join(s: Swarm) -> Awaitable[object]:
    address = f"127.0.0.1:{free_pair()}"
    request = host_pb2.JoinSwarmRequest(
        token=s.cluster.root_ca.worker_token,
        managers=[s["m1"].present.membership.advertise_address],
    )
    return Joiner().join(request, address=address, listen=address)


@pytest.mark.parametrize("wrong", [-5 * HOUR, 0.5 * HOUR])
def test_a_clock_that_is_slow_or_a_little_fast_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path) as s:
            await lead_by_a_wrong_clock(s, monkeypatch, wrong)
            await a_join(s)

    run(scenario)


@pytest.mark.parametrize("wrong", [5 * HOUR, -200 * DAY], ids=["hours ahead", "months behind"])
def test_a_certificate_that_a_wrong_clock_made_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    moment = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"

    async def scenario() -> None:
        async with swarm(tmp_path) as s:
            await s["m1"].create("before")
            await lead_by_a_wrong_clock(s, monkeypatch, wrong)
            with pytest.raises(SwarmError) as caught:
                await a_join(s)
            assert re.fullmatch(
                rf"the new certificate of this node is not valid now: it is valid from {moment} to "
                rf"{moment}, and here it is {moment}\. Set the clocks of this host and of the "
                r"managers right, then try again",
                str(caught.value),
            ), str(caught.value)

            await restart(s["m1"])  # by a clock that was set right
            await a_join(s)
            assert await s["m1"].services() == {"before"}

    run(scenario)
