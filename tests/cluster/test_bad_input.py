"""Wrong commands: the exit code, the word that is wrong, and that nothing was changed."""

from collections.abc import Iterator

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm

pytestmark = pytest.mark.cluster

CREATE = "service create --detach --name new"

REFUSED = {
    f"{CREATE}! {TOOLS}": "'new!' is no valid name",
    f"{CREATE} UPPER:case": "'UPPER:case' is not a reference to an image",
    f"service create --detach --name web {TOOLS}": "name web is in use",
    f"{CREATE} --env =x {TOOLS}": "task.container.env[0]",
    f"{CREATE} --hostname -x {TOOLS}": "task.container.hostname",
    f"{CREATE} --stop-signal SIGNOPE {TOOLS}": "task.container.stop_signal",
    f"{CREATE} --stop-signal 65 {TOOLS}": "task.container.stop_signal",
    f"{CREATE} --limit-memory 1k {TOOLS}": "task.resources.limits.memory_bytes",
    f"{CREATE} --mount type=bind,source=no,target=/x {TOOLS}": "absolute path",
    f"{CREATE} --mount type=volume,source=/v,target=/x {TOOLS}": "task.container.mounts[0].source",
    f"{CREATE} --network web {TOOLS}": "no network 'web'",
    f"{CREATE} --network host --publish 80:80 {TOOLS}": "endpoint.ports[0]",
    f"{CREATE} --secret s {TOOLS}": "no secret 's'",
    f"{CREATE} --config c {TOOLS}": "no config 'c'",
    f"{CREATE} --health-interval 1us {TOOLS}": "task.container.health.interval",
    f"{CREATE} --constraint node.role=worker {TOOLS}": "task.placement.constraints[0]",
    f"{CREATE} --env A={{{{.Node.Nope}}}} {TOOLS}": "task.container.env[0]",
    f"{CREATE} --mode global-job --update-delay 1s {TOOLS}": "a job has no update settings",
    f"{CREATE} --ulimit nope=1 {TOOLS}": "nope",
    "service update --detach --limit-memory 1 web": "task.resources.limits.memory_bytes",
    "service update --detach --mount-add type=tmpfs,target=rel web": "task.container.mounts[0]",
    "service update --detach nope": "there is no service 'nope'",
    "service scale --detach nope=3": "there is no service 'nope'",
    "service rm nope": "there is no service 'nope'",
    "service ps nope": "there is no service 'nope'",
    "service logs nope": "there is no service or task 'nope'",
    "service inspect nope": "there is no service 'nope'",
    "task inspect nope": "nope",
    "node inspect nope": "there is no node 'nope'",
    "node rm nope": "there is no node 'nope'",
    "node rm w1": "node w1 is not down",
    "node rm m1": "m1",
    "node rm --force m1": "m1",
    "node update --role worker m1": "last manager",
    "node demote m1": "last manager",
    "swarm unlock-key --rotate": "lock",
    "swarm init": "already part of a swarm",
    "swarm join --token SWMTKN-1-x 10.0.0.1:2377": "already part of a swarm",
    "swarm leave": "last manager",
    "swarm client-cert --rm nobody": "nobody",
    "image inspect nope:1": "nope:1",
    "--context nope node ls": "there is no context nope",
}
USAGE = {
    "frobnicate": "No such command 'frobnicate'",
    "service": "",
    "service frobnicate": "No such command 'frobnicate'",
    f"{CREATE} --frobnicate {TOOLS}": "--frobnicate",
    "service create --detach --name new": "IMAGE",
    f"{CREATE} --replicas -1 {TOOLS}": "--replicas",
    f"{CREATE} --replicas many {TOOLS}": "--replicas",
    f"{CREATE} --limit-memory 10xb {TOOLS}": "--limit-memory",
    f"{CREATE} --limit-cpu none {TOOLS}": "--limit-cpu",
    f"{CREATE} --restart-delay 5 {TOOLS}": "--restart-delay",
    f"{CREATE} --restart-condition never {TOOLS}": "--restart-condition",
    f"{CREATE} --update-order first {TOOLS}": "--update-order",
    f"{CREATE} --mount target {TOOLS}": "--mount",
    f"{CREATE} --mount nope=1,target=/x {TOOLS}": "nope",
    f"{CREATE} --env-file /no/such/file {TOOLS}": "--env-file",
    f"{CREATE} --publish 300.0.0.1:80:80 {TOOLS}": "is no IP address",
    f"{CREATE} --wait-timeout soon {TOOLS}": "--wait-timeout",
    "service scale web": "SERVICE=REPLICAS",
    "service scale web=x": "SERVICE=REPLICAS",
    "service update": "SERVICE",
    "service ls --filter nope=1": "--filter",
    "service ls --format {{.Nope}}": "Nope",
    "service logs --tail few web": "--tail",
    "service logs --since yesterday web": "--since",
    "node update --availability no w1": "--availability",
    "node ls --filter role=king": "--filter role",
    "swarm join-token boss": "boss",
    "swarm init --cert-expiry forever": "--cert-expiry",
    "swarm init --force-new-cluster --cert-expiry 2h": "force-new-cluster",
    "swarm client-cert": "NAME",
    "-H nope node ls": "host",
    "--timeout never node ls": "--timeout",
}


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), workers=1) as made:
        yield made


def _everything(swarm: Swarm) -> list[str]:
    services = swarm.ctl("service", "ls", "-q").lines
    return [
        swarm.ctl("service", "inspect", *services).out,
        swarm.ctl("node", "inspect", "m1", "w1").out,
        swarm.ctl("task", "ls", "-q").out,
        swarm.ctl("swarm", "client-cert", "--ls").out,
        swarm.ctl("swarm", "join-token", "-q", "worker").out,
        str(swarm.containers()),
    ]


@pytest.mark.parametrize(("table", "code"), [(REFUSED, 1), (USAGE, 2)], ids=["refused", "usage"])
def test_a_wrong_command_is_refused_with_the_word_that_is_wrong_and_changes_nothing(
    swarm: Swarm, table: dict[str, str], code: int
) -> None:
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT)
    swarm.until(
        lambda: len(swarm.ctl("task", "ls", "-q").lines) == 1, "tasks of before are forgotten"
    )
    before = _everything(swarm)
    wrong = []
    for command, word in table.items():
        done = swarm.ctl(*command.split(), code=None)
        # An inspect answers with what it found, as Docker's does: here nothing.
        told = word in done.err and done.out in ("", "[]\n") and "Traceback" not in done.err
        if done.code != code or not told:
            wrong.append(f"{command}\n  => {done.code} {done.out}{done.err}")
    assert wrong == [], "\n".join(wrong)
    assert _everything(swarm) == before


def test_one_wrong_name_among_several_does_not_keep_the_others_from_being_served(
    swarm: Swarm,
) -> None:
    for name in ("one", "two"):
        swarm.create(name, TOOLS, "sh", "-c", OBEDIENT)
    done = swarm.ctl("service", "rm", "one", "nope", "two", code=1)
    assert done.lines == ["one", "two"]
    assert "there is no service 'nope'" in done.err
    assert swarm.ctl("service", "ls", "-q").lines == []


def test_a_host_without_a_swarm_says_so_and_what_to_do(swarm: Swarm) -> None:
    swarm.ctl("swarm", "leave", at="w1")
    try:
        for command in ("service ls", "node ls", "swarm leave", "swarm join-token worker"):
            done = swarm.ctl(*command.split(), at="w1", code=1)
            assert "not part of a swarm" in done.err
        assert "inactive" in swarm.ctl("system", "info", at="w1").out
        assert swarm.ctl("image", "ls", at="w1").code == 0
    finally:
        token = swarm.ctl("swarm", "join-token", "-q", "worker").out.strip()
        swarm.ctl("swarm", "join", "--token", token, f"{swarm.host('m1').address}:2377", at="w1")
