"""Installing, going back and removing, cut off at every command: before it, and behind it."""

import asyncio
import copy
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine import manifest
from machine.distribution.own import Distribution
from machine.provision import Installer
from machine.provisioning import Kind, Wanted
from tests.support.paper_host import Node, PaperHost, PaperRemote

ONE = Wanted("1", {"log_level": "debug"}, hostname="new", files=[("/etc/swarm/api/k", b"k", 0o600)])
TWO = Wanted("2", {"log_level": "info"})
Act = Callable[[Installer, PaperRemote], Awaitable[object]]


def installer(version: str = "1") -> Installer:
    wheel = Distribution(version, Path(f"swarmctl-{version}-py3-none-any.whl"))
    return Installer("alice@ws", clock=lambda: 0.0, carried=lambda: wheel)


def quiet(line: str) -> None:
    pass


def fresh() -> PaperHost:
    """With a name, and somebody else's program where ours goes."""
    host = PaperHost()
    host.tree["/etc/hostname"] = Node("file", b"old\n", 0o644)
    host.tree["/etc/hosts"] = Node("file", b"127.0.0.1 localhost\n", 0o644)
    host.tree["/usr/local/bin/swarmctl"] = Node("file", b"theirs", 0o755)
    return host


def apply(wanted: Wanted) -> Act:
    return lambda inst, remote: inst.apply(remote, wanted, quiet)


def remove(inst: Installer, remote: PaperRemote) -> Awaitable[object]:
    return inst.remove(remote, quiet)


def roll_back(inst: Installer, remote: PaperRemote) -> Awaitable[object]:
    return inst.roll_back(remote, quiet)


def go(host: PaperHost, act: Act, version: str = "1") -> PaperRemote:
    remote = PaperRemote(host)
    asyncio.run(_await(act(installer(version), remote)))
    return remote


async def _await(work: Awaitable[object]) -> object:
    return await work


def cut_everywhere(start: PaperHost, act: Act, version: str = "1") -> list[PaperHost]:
    """What becomes of the host when the run is cut off at each call in turn, and then gone on
    with; the last one is of a run that nobody cut.
    """
    ends = []
    for behind in (False, True):
        for calls in range(1, 200):
            host = copy.deepcopy(start)
            remote = PaperRemote(host, calls, behind=behind)
            try:
                asyncio.run(_await(act(installer(version), remote)))
            except SwarmError as error:
                if error.code is not Code.UNAVAILABLE:
                    raise
                go(host, act, version)
                ends.append(host)
            else:
                ends.append(host)
                break
    return ends


def without_journal(host: PaperHost) -> object:
    host = copy.deepcopy(host)
    host.tree.pop(manifest.PATH, None)
    return host.picture()


def test_it_is_installed_whatever_is_cut_off() -> None:
    ends = cut_everywhere(fresh(), apply(ONE))
    assert len(ends) > 80
    for host in ends:
        assert without_journal(host) == without_journal(ends[-1])
    for host in ends[::9]:
        assert asyncio.run(installer().changes(PaperRemote(host), ONE)) == []
    last = ends[-1]
    assert (last.hostname, last.active, last.enabled, last.runs) == (
        "new",
        "active",
        "enabled",
        "1",
    )
    assert last.starts == 1


def test_it_is_removed_whatever_is_cut_off_and_is_as_it_was() -> None:
    host = fresh()
    host.tree["/var/lib/swarm"] = Node("folder")  # a disk of its own, empty
    before = copy.deepcopy(host)
    for cut in cut_everywhere(host, apply(ONE))[::29]:
        cut.tree["/var/lib/swarm/images"] = Node("folder")
        for end in cut_everywhere(cut, remove):
            assert end.picture() == before.picture()


def test_an_upgrade_is_gone_on_with_and_gone_back_from() -> None:
    host = fresh()
    go(host, apply(ONE))
    ends = cut_everywhere(host, apply(TWO), "2")
    for end in ends:
        assert without_journal(end) == without_journal(ends[-1])
        assert end.runs == "2"
    former = host.tree["/etc/swarm/swarmd.toml"]
    *others, _, last = cut_everywhere(ends[-1], roll_back)
    for end in (*others, last):  # who was cut off behind all of it goes forth again
        assert end.runs == "1"
        assert end.tree["/etc/swarm/swarmd.toml"] == former


def with_a_broken_two() -> PaperHost:
    """1 ran there, 2 does not come up, and nobody has gone back."""
    host = fresh()
    go(host, apply(ONE))
    host.broken = frozenset({"2"})
    with pytest.raises(SwarmError, match=r"step service failed: swarmd 2 does not come up"):
        go(host, apply(TWO), "2")
    return host


def test_a_version_that_does_not_come_up_can_be_gone_back_from_and_not_to() -> None:
    host = with_a_broken_two()
    go(host, roll_back)
    assert host.runs == "1"
    with pytest.raises(SwarmError, match="no version to go back to: only 1 was there"):
        go(host, roll_back)
    assert host.runs == "1"


def test_nor_is_it_gone_back_to_from_a_later_one() -> None:
    host = with_a_broken_two()
    go(host, apply(Wanted("3")), "3")
    assert [f"/opt/swarm/{each}" in host.tree for each in "123"] == [True, False, True]
    go(host, roll_back)
    assert host.runs == "1"
    go(host, roll_back)  # both ran: from one to the other
    assert host.runs == "3"


@pytest.mark.parametrize("name", ["/etc/swarm/swarmd.toml", "/etc/systemd/system/swarmd.service"])
def test_what_somebody_changed_by_hand_runs_no_more_whatever_is_cut_off(name: str) -> None:
    host = fresh()
    go(host, apply(ONE))
    ours = host.tree[name]
    host.put(name, Node("file", b"of somebody", 0o644))
    for end in cut_everywhere(host, apply(ONE)):
        assert end.tree[name] == ours
        assert end.starts >= 2
        assert asyncio.run(installer().changes(PaperRemote(end), ONE)) == []


def test_nor_does_a_unit_that_systemd_has_not_read() -> None:
    host = fresh()
    go(host, apply(ONE))
    host.unit_is_stale = True
    for end in cut_everywhere(host, apply(ONE)):
        assert (end.unit_is_stale, end.starts >= 2) == (False, True)


def asked_at(remote: PaperRemote) -> list[str]:
    """The sockets at which a daemon was waited for."""
    return [words[3] for words in remote.commands if words[0] == "sh" and words[-1] == "300"]


ELSEWHERE = Wanted("1", {"run_dir": "/run/elsewhere"})


def test_a_version_is_made_anew_for_another_python_and_restarted_whatever_is_cut_off() -> None:
    host = fresh()
    go(host, apply(ELSEWHERE))
    host.python = "3.13"
    kept = dict(host.tree)
    ends = cut_everywhere(host, apply(ELSEWHERE))
    for end in ends:
        assert end.starts >= 2
        assert end.tree["/opt/swarm/1/.complete"].content == b"3.13\n"
        assert end.tree["/opt/swarm/1/.kept/swarmd.toml"] == kept["/opt/swarm/1/.kept/swarmd.toml"]
        assert asyncio.run(installer().changes(PaperRemote(end), ELSEWHERE)) == []
    again = ends[-1]
    assert again.starts == 2
    go(again, apply(TWO), "2")
    assert asked_at(go(again, roll_back)) == ["/run/elsewhere/swarmd.sock"]
    assert b"/run/elsewhere" in again.tree["/etc/swarm/swarmd.toml"].content
    assert asyncio.run(installer().changes(PaperRemote(again), ELSEWHERE)) == []


def test_whoever_installs_a_host_has_it_take_the_python_of_its_own_system() -> None:
    ran = go(fresh(), apply(ONE)).commands
    pythons = {word for words in ran for word in words if word.endswith("python3")}
    assert pythons == {"/usr/bin/python3"}


def test_what_was_not_kept_of_a_version_stays_as_it_is_at_the_way_back() -> None:
    host = fresh()
    go(host, apply(ELSEWHERE))
    wanted = Wanted("2", {"run_dir": "/run/elsewhere"})
    go(host, apply(wanted), "2")
    for name in ("swarmd.toml", "swarmd.service"):
        del host.tree[f"/opt/swarm/1/.kept/{name}"]
    assert asked_at(go(host, roll_back)) == ["/run/elsewhere/swarmd.sock"]
    assert asyncio.run(installer().changes(PaperRemote(host), ELSEWHERE)) == []


def test_a_version_for_another_python_is_nothing_to_go_back_to() -> None:
    host = fresh()
    go(host, apply(ONE))
    host.python = "3.13"
    go(host, apply(TWO), "2")
    with pytest.raises(SwarmError, match="1 is not whole, or made for another Python"):
        go(host, roll_back)
    assert host.runs == "2"


INTERRUPTED = "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct"


def test_what_dpkg_had_not_ended_is_ended_first() -> None:
    host = fresh()
    host.apt_fails = [INTERRUPTED]
    ran = go(host, apply(ONE)).commands
    (ended,) = (words for words in ran if "--configure" in words)
    assert {"DEBIAN_FRONTEND=noninteractive", "--force-confold"} < set(ended)  # it asks nothing
    assert host.runs == "1"


def test_nor_does_it_hinder_a_removal() -> None:
    host, before = fresh(), fresh().picture()
    go(host, apply(ONE))
    host.apt_fails = [INTERRUPTED]
    ran = go(host, remove).commands
    assert len([words for words in ran if "--configure" in words]) == 1
    assert host.picture() == before


@pytest.mark.parametrize(
    ("said", "code", "told"),
    [
        ("E: Could not get lock /var/lib/dpkg/lock-frontend.", Code.REFUSED, "unattended-upgrades"),
        ("E: No space left on device", Code.INTERNAL, "make room"),
        ("E: Unable to locate package crun", Code.INTERNAL, "add-apt-repository universe"),
        ("E: Package 'tini' has no installation candidate", Code.INTERNAL, "universe"),
        ("E: something else", Code.INTERNAL, "it goes on there"),
    ],
)
def test_what_apt_fails_with_comes_with_a_remedy(said: str, code: Code, told: str) -> None:
    host = fresh()
    host.apt_fails = [said]
    with pytest.raises(SwarmError, match="step packages failed") as failed:
        go(host, apply(ONE))
    assert failed.value.code is code
    assert told in failed.value.remedy
    go(host, apply(ONE))
    assert host.runs == "1"


def test_what_is_fatal_is_told_before_anything_is_changed() -> None:
    host = fresh()
    before = copy.deepcopy(host)
    wanted = Wanted("1", {"api_listen": "0.0.0.0:2376"})

    class Busy(PaperHost):
        def _script(self, name: str, words: list[str]) -> tuple[int, str]:
            code, out = super()._script(name, words)
            return code, "init\tsysvinit\n" + out.replace("init\tsystemd\n", "")

    busy = Busy(**vars(host))
    with pytest.raises(SwarmError, match="process 1 is sysvinit, not systemd") as refused:
        go(busy, apply(wanted))
    assert refused.value.code is Code.REFUSED
    assert busy.picture() == before.picture()


def test_a_host_that_is_in_a_swarm_is_not_taken_apart() -> None:
    host = fresh()
    go(host, apply(ONE))
    host.swarm = "active"
    with pytest.raises(SwarmError, match="h1 is in a swarm"):
        go(host, remove)
    assert host.active == "active"


def failed_member() -> PaperHost:
    """A host in a swarm whose swarmd has failed, with a volume."""
    host = fresh()
    go(host, apply(ONE))
    host.swarm, host.active = "active", "failed"
    host.put("/var/lib/swarm/swarm/membership.json", Node("file", b"{}", 0o600))
    host.put("/var/lib/swarm/volumes/v/data", Node("file", b"of somebody"))
    return host


def test_nor_is_one_that_may_be_in_a_swarm_for_its_swarmd_does_not_answer() -> None:
    host = failed_member()
    before = copy.deepcopy(host.tree)
    with pytest.raises(SwarmError, match="not known whether h1 is in a swarm") as refused:
        go(host, remove)
    assert refused.value.code is Code.REFUSED
    assert "swarmctl swarm leave; or say --force" in refused.value.remedy
    assert host.tree == before
    del host.tree["/var/lib/swarm/swarm/membership.json"]
    go(host, remove)  # it left before its swarmd failed, or was never in one
    assert manifest.PATH not in host.tree


def test_by_force_it_is_taken_apart_and_told_that_no_swarm_was_left() -> None:
    host, said = failed_member(), list[str]()
    go(host, lambda inst, remote: inst.remove(remote, said.append, force=True))
    assert not any(path.startswith("/var/lib/swarm/") for path in host.tree)
    assert any("swarmd does not answer, so that no swarm is left" in line for line in said)


def test_nothing_is_taken_from_a_host_that_we_brought_nothing_to() -> None:
    host = fresh()
    before = copy.deepcopy(host)
    go(host, remove)
    assert host.picture() == before.picture()


def test_a_host_without_an_earlier_version_has_no_way_back() -> None:
    host = fresh()
    go(host, apply(ONE))
    with pytest.raises(SwarmError, match="no version to go back to: only 1 was there"):
        go(host, roll_back)


def test_a_damaged_manifest_is_put_aside() -> None:
    host = fresh()
    host.put(manifest.PATH, Node("file", b'{"steps": [', 0o600))
    with pytest.raises(SwarmError, match="not known what of h1 is ours"):
        go(host, remove)
    go(host, apply(ONE))
    assert host.tree[manifest.DAMAGED].content == b'{"steps": ['
    assert manifest.decoded(host.tree[manifest.PATH].content, "h1").version == "1"


def test_a_version_that_this_program_is_not_needs_its_wheel() -> None:
    with pytest.raises(SwarmError, match="there is no distribution 9 to install: this swarmctl is"):
        go(fresh(), apply(Wanted("9")))


def test_a_host_that_ran_another_installation_runs_it_again_after_the_removal() -> None:
    host = fresh()
    host.tree["/etc/systemd/system/swarmd.service"] = Node("file", b"[Service]\n", 0o644)
    host.tree["/opt/swarm"] = Node("folder")
    host.tree["/opt/swarm/current"] = Node("link", b"hand-made", 0)
    host.active, host.enabled = "active", "enabled"
    before = copy.deepcopy(host)
    changes = asyncio.run(installer().changes(PaperRemote(host), ONE))
    assert (Kind.RESTART, "what it runs with is not known") in [
        (each.kind, each.why) for each in changes
    ]
    for end in cut_everywhere(host, apply(ONE))[::40]:
        go(end, remove)
        assert end.picture() == before.picture()
        assert end.runs == "hand-made"
