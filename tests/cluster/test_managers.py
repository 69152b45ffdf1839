"""Three managers lose their leader, their majority or a disk, come, go and change roles."""

import shlex
import shutil
from collections.abc import Iterator

import pytest

from tests.support.cluster import OBEDIENT, SWARMCTL, TOOLS, Swarm, a_swarm

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

MANAGERS = ("m1", "m2", "m3")
COMMAND = (TOOLS, "sh", "-c", OBEDIENT)
REACHABLE, UNREACHABLE, LEADER = "Reachable", "Unreachable", "Leader"


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    config = tmp_path_factory.mktemp("config")
    with a_swarm(config, managers=3, workers=1, heartbeat=2) as made:
        yield made


@pytest.fixture(autouse=True)
def _begins_with_three_managers(swarm: Swarm) -> None:
    _until_managers(swarm, *MANAGERS)


def _managers(swarm: Swarm, at: str = "m1") -> dict[str, str]:
    """MANAGER STATUS by host, of the nodes that have one."""
    form = "{{.Hostname}} {{.ManagerStatus}}"
    listed = swarm.ctl("--timeout", "5s", "node", "ls", "--format", form, at=at, code=None)
    pairs = [line.split() for line in listed.lines]
    return {words[0]: words[1] for words in pairs if len(words) > 1}


def _until_managers(swarm: Swarm, *hosts: str, at: str = "m1") -> None:
    """Until just these are managers, all can be reached, and one of them leads."""

    def agreed() -> bool:
        found = _managers(swarm, at)
        return set(found) == set(hosts) and sorted(found.values()) == sorted(
            [LEADER, *[REACHABLE] * (len(hosts) - 1)]
        )

    swarm.until(agreed, f"{', '.join(hosts)} are the managers", timeout=60)


def _leader(swarm: Swarm, at: str = "m1") -> str:
    leaders = [host for host, status in _managers(swarm, at).items() if status == LEADER]
    assert len(leaders) == 1
    return leaders[0]


def _others(host: str) -> list[str]:
    return [each for each in MANAGERS if each != host]


def _until_another_leads(swarm: Swarm, former: str) -> str:
    """The host that leads instead, as the others say."""
    at = _others(former)[0]

    def another() -> str:
        found = _managers(swarm, at)
        return next((host for host, s in found.items() if s == LEADER and host != former), "")

    return swarm.until(another, f"another than {former} leads", timeout=30)


def _make(swarm: Swarm, name: str, at: str) -> None:
    """Creates a service that runs nowhere."""
    words = ("service", "create", "--detach", "--name", name, "--replicas", "0", TOOLS)
    swarm.ctl(*words, at=at)


def _names(swarm: Swarm, at: str, *words: str) -> set[str]:
    return set(swarm.ctl(*words, "service", "ls", "--format", "{{.Name}}", at=at).lines)


def _until_holds(swarm: Swarm, host: str, *names: str) -> None:
    """Until a manager holds just these services itself: it has its vote a moment before."""
    held = ("--stale", "service", "ls", "--format", "{{.Name}}")
    swarm.until(
        lambda: set(swarm.ctl(*held, at=host, code=None).lines) == set(names),
        f"{host} holds what is decided",
    )


def _role(swarm: Swarm, host: str, field: str, at: str) -> str:
    """`Spec.Role` is what it shall be, `Role` what its certificate says."""
    return swarm.ctl("node", "inspect", "-f", f"{{{{.{field}}}}}", host, at=at).out.strip()


def _join(swarm: Swarm, host: str, role: str, at: str) -> None:
    """Types on the host what `join-token` printed on a manager."""
    said = swarm.ctl("swarm", "join-token", role, at=at).lines
    (line,) = [line.strip() for line in said if "--token" in line]
    joined = swarm.ctl(*shlex.split(line)[1:], at=host)
    assert f"joined a swarm as a {role}" in joined.out


def _demote(swarm: Swarm, host: str, at: str = "m1") -> None:
    """Once enough of the others were heard of lately: a machine that is busy hears them late."""

    def demoted() -> bool:
        said = swarm.ctl("node", "demote", host, at=at, code=None)
        assert said.code == 0 or "cannot do without manager" in said.err, said
        return said.code == 0

    swarm.until(demoted, f"{host} is demoted")


def _remove_what_is_down(swarm: Swarm, host: str, at: str) -> None:
    """Removes the former membership of a host that has another by now, or none."""

    def down() -> list[str]:
        form = "{{.ID}} {{.Hostname}} {{.Status}}"
        rows = [line.split() for line in swarm.ctl("node", "ls", "--format", form, at=at).lines]
        return [node for node, name, status in rows if (name, status) == (host, "Down")]

    for node in swarm.until(down, f"the old node of {host} is down", timeout=60):
        swarm.ctl("node", "rm", node, at=at)


@pytest.mark.parametrize("how", ["daemon", "power"])
def test_a_lost_leader_is_replaced_and_comes_back_as_a_follower(swarm: Swarm, how: str) -> None:
    leader = _leader(swarm)
    at = _others(leader)[0]
    swarm.create("web", *COMMAND, replicas=2, at=at)
    running = [each for each in swarm.on("web") if each.host != leader]
    if how == "daemon":
        swarm.kill_daemon(leader)
    else:
        swarm.lab("kill", leader)
    _make(swarm, "after", at)
    assert _until_another_leads(swarm, leader) != leader
    swarm.until(
        lambda: _managers(swarm, at).get(leader) == UNREACHABLE, "it is known to be unreachable"
    )
    assert set(running) <= set(swarm.on("web")), "tasks elsewhere run on"
    if how == "power":
        swarm.lab("start", leader)
    swarm.start_daemon(leader)
    _until_managers(swarm, *MANAGERS, at=at)
    assert _names(swarm, leader) == {"web", "after"}, "it has learnt what it missed"
    swarm.until_runs("web", 2, timeout=60)


def test_a_leader_that_is_cut_off_answers_nothing_and_learns_what_was_decided(
    swarm: Swarm,
) -> None:
    leader = _leader(swarm)
    _make(swarm, "before", leader)
    _until_holds(swarm, leader, "before")
    swarm.lab("cut", leader)
    _until_another_leads(swarm, leader)
    _make(swarm, "meanwhile", _others(leader)[0])
    asked = swarm.ctl("--timeout", "3s", "service", "ls", at=leader, code=4)
    assert asked.out == ""
    assert _names(swarm, leader, "--stale") == {"before"}, "unless an old answer will do"
    words = ("service", "create", "--detach", "--name", "lost", "--replicas", "0", TOOLS)
    swarm.ctl("--timeout", "3s", *words, at=leader, code=4)
    swarm.lab("heal", leader)
    _until_managers(swarm, *MANAGERS)
    assert _names(swarm, leader) == {"before", "meanwhile"}, "what was refused never happens"


def test_without_a_majority_nothing_is_decided_and_tasks_run_on(swarm: Swarm) -> None:
    swarm.create("web", *COMMAND, replicas=4)
    running = swarm.on("web")
    for lost in ("m2", "m3"):
        swarm.kill_daemon(lost)
    words = ("service", "create", "--detach", "--name", "lost", "--replicas", "0", TOOLS)
    refused = swarm.ctl("--timeout", "3s", *words, code=4)
    assert refused.err
    assert _names(swarm, "m1", "--stale") == {"web"}
    assert swarm.on("web") == running
    for back in ("m2", "m3"):
        swarm.start_daemon(back)
    _until_managers(swarm, *MANAGERS)
    _make(swarm, "after", "m1")
    # What was not answered may have been decided later: its leader had written it down.
    assert _names(swarm, "m3") - {"lost"} == {"web", "after"}
    swarm.until_runs("web", 4, timeout=60)
    assert swarm.on("web") == running, "nothing was restarted"


def test_all_managers_are_killed_and_started_together(swarm: Swarm) -> None:
    swarm.create("web", *COMMAND, replicas=4)
    running = swarm.on("web")
    for number in range(5):
        _make(swarm, f"kept{number}", MANAGERS[number % 3])
    for host in MANAGERS:
        swarm.kill_daemon(host)
    for host in MANAGERS:
        swarm.start_daemon(host)
    _until_managers(swarm, *MANAGERS)
    for host in MANAGERS:
        assert _names(swarm, host) == {"web", *(f"kept{number}" for number in range(5))}
    swarm.until_runs("web", 4, timeout=60)
    assert swarm.on("web") == running


@pytest.mark.parametrize("who", ["follower", "leader"])
def test_a_manager_is_demoted_and_promoted_again(swarm: Swarm, who: str) -> None:
    leader = _leader(swarm)
    host = leader if who == "leader" else _others(leader)[0]
    rest = _others(host)
    _make(swarm, "before", rest[0])
    _demote(swarm, host, at=rest[0])
    _until_managers(swarm, *rest, at=rest[0])
    swarm.until(
        lambda: _role(swarm, host, "Role", rest[0]) == "worker", "its certificate is a worker's"
    )
    assert _names(swarm, host) == {"before"}, "a worker asks a manager"
    _make(swarm, "meanwhile", rest[0])
    swarm.ctl("node", "promote", host, at=rest[0])
    _until_managers(swarm, *MANAGERS, at=rest[0])
    _until_holds(swarm, host, "before", "meanwhile")


def test_a_worker_that_is_promoted_holds_everything(swarm: Swarm) -> None:
    for number in range(20):
        _make(swarm, f"kept{number}", "m1")
    swarm.ctl("node", "promote", "w1")
    _until_managers(swarm, *MANAGERS, "w1")
    _until_holds(swarm, "w1", *(f"kept{number}" for number in range(20)))
    for host in ("m2", "m3"):
        swarm.kill_daemon(host)
    swarm.ctl("--timeout", "3s", "service", "rm", "kept0", code=4)
    for host in ("m2", "m3"):
        swarm.start_daemon(host)
    _until_managers(swarm, *MANAGERS, "w1")
    _demote(swarm, "w1")
    _until_managers(swarm, *MANAGERS)
    swarm.until_node("w1", "Ready")


@pytest.mark.parametrize("who", ["follower", "leader"])
def test_a_manager_leaves_and_joins_again(swarm: Swarm, who: str) -> None:
    leader = _leader(swarm)
    host = leader if who == "leader" else _others(leader)[0]
    rest = _others(host)
    _make(swarm, "before", host)
    swarm.ctl("swarm", "leave", "--force", at=host)
    _until_managers(swarm, *rest, at=rest[0])
    assert "not part of a swarm" in swarm.ctl("node", "ls", at=host, code=1).err
    _make(swarm, "meanwhile", rest[1])
    _remove_what_is_down(swarm, host, at=rest[0])
    _join(swarm, host, "manager", at=rest[0])
    _until_managers(swarm, *MANAGERS, at=rest[0])
    _until_holds(swarm, host, "before", "meanwhile")


def test_a_manager_whose_disk_was_replaced_joins_as_another(swarm: Swarm) -> None:
    _make(swarm, "before", "m1")
    swarm.lab("kill", "m3")
    shutil.rmtree(swarm.host("m3").paths.state)
    swarm.lab("start", "m3")
    swarm.start_daemon("m3")
    swarm.until(lambda: "inactive" in swarm.ctl("system", "info", at="m3").out, "it knows nothing")
    swarm.until(lambda: _managers(swarm).get("m3") == UNREACHABLE, "it is unreachable")
    swarm.until_node("m3", "Down")
    assert "demote" in swarm.ctl("node", "rm", "--force", "m3", code=1).err, "its seat first"
    _demote(swarm, "m3")
    _until_managers(swarm, "m1", "m2")
    swarm.ctl("node", "rm", "--force", "m3")
    _join(swarm, "m3", "manager", at="m1")
    _until_managers(swarm, *MANAGERS)
    _until_holds(swarm, "m3", "before")


def test_who_is_already_in_a_swarm_cannot_join_again(swarm: Swarm) -> None:
    said = swarm.ctl("swarm", "join-token", "manager").lines
    (line,) = [line.strip() for line in said if "--token" in line]
    refused = swarm.ctl(*shlex.split(line)[1:], at="m2", code=1)
    assert "already" in refused.err
    _until_managers(swarm, *MANAGERS)


def test_two_daemons_cannot_share_a_state_directory(swarm: Swarm) -> None:
    paths = swarm.host("m2").paths
    argv = (str(SWARMCTL.with_name("swarmd")), "--state-dir", str(paths.state))
    second = swarm.inside("m2", *argv, "--run-dir", "/run/second", code=None)
    assert second.code != 0
    assert "another" in second.err or "use" in second.err
    _until_managers(swarm, *MANAGERS)
    _make(swarm, "after", "m2")


def test_an_unreachable_manager_that_is_needed_is_not_demoted(swarm: Swarm) -> None:
    swarm.kill_daemon("m3")
    swarm.until(lambda: _managers(swarm).get("m3") == UNREACHABLE, "m3 is unreachable")
    refused = swarm.ctl("node", "demote", "m2", code=1)
    assert "m2" in refused.err or "manager" in refused.err
    assert _role(swarm, "m2", "Spec.Role", "m1") == "manager"
    swarm.start_daemon("m3")
    _until_managers(swarm, *MANAGERS)


def test_agents_find_the_leader_wherever_it_went(swarm: Swarm) -> None:
    """The worker's session ends with each leader; it is told what to run all the same."""
    for host in MANAGERS:
        swarm.ctl("node", "update", "--availability", "drain", host)
    for number in range(3):
        leader = _leader(swarm)
        swarm.kill_daemon(leader)
        at = _others(leader)[0]
        _until_another_leads(swarm, leader)
        words = ("service", "create", "--detach", "--name", f"web{number}", *COMMAND)
        swarm.ctl(*words, at=at)
        swarm.until(lambda: swarm.on(f"web{number}", "w1"), f"web{number} runs on w1")  # noqa: B023 - called at once
        swarm.start_daemon(leader)
        _until_managers(swarm, *MANAGERS, at=at)
    for host in MANAGERS:
        swarm.ctl("node", "update", "--availability", "active", host)
