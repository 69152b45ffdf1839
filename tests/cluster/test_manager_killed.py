"""The manager is killed while others write: what it acknowledged is there, exactly once."""

import json
import threading
from collections.abc import Iterable, Iterator

import grpc
import pytest

from api.new_ids import new_id
from api.v1 import control_pb2, control_pb2_grpc, specs_pb2
from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

KILLS = 4
BETWEEN = 15
"""Services created between two kills."""


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config")) as made:
        yield made


class Clerk:
    """Creates services without a pause, one after the other, and each until it is acknowledged."""

    def __init__(self, socket: str, prefix: str) -> None:
        self._socket = socket
        self._prefix = prefix
        self.requests: list[control_pb2.CreateServiceRequest] = []
        self.answers: dict[str, str] = {}  # id of the service by its name
        self.refusals: list[str] = []
        self.repeated = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Clerk":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def ask(self, request: control_pb2.CreateServiceRequest) -> str:
        """The id that is answered; grpc.RpcError."""
        with grpc.insecure_channel(self._socket) as channel:
            return control_pb2_grpc.ControlStub(channel).CreateService(request, timeout=60).id

    def _work(self) -> None:
        while not self._stopping.is_set() and not self.refusals:
            name = f"{self._prefix}{len(self.requests)}"
            spec = specs_pb2.ServiceSpec()
            spec.annotations.name = name
            spec.task.container.image = TOOLS
            spec.replicated.replicas = 0
            request = control_pb2.CreateServiceRequest(spec=spec, request_id=new_id())
            self.requests.append(request)
            self.answers[name] = self._insist(request)

    def _insist(self, request: control_pb2.CreateServiceRequest) -> str:
        while True:
            try:
                return self.ask(request)
            except grpc.RpcError as error:
                code = error.code() if isinstance(error, grpc.Call) else None
                if code is not grpc.StatusCode.UNAVAILABLE:
                    self.refusals.append(str(error))
                    return ""
                self.repeated += 1
                self._stopping.wait(0.02)


def _acknowledged(clerks: Iterable[Clerk]) -> int:
    for clerk in clerks:
        assert clerk.refusals == []
    return sum(len(clerk.answers) for clerk in clerks)


def _services(swarm: Swarm) -> dict[str, str]:
    form = "{{.Name}} {{.ID}}"
    lines = swarm.ctl("service", "ls", "--format", form).lines
    names = [line.split()[0] for line in lines]
    assert len(names) == len(set(names)), "each is there once"
    return dict(zip(names, (line.split()[1] for line in lines), strict=True))


def test_everything_acknowledged_survives_a_manager_that_is_killed_again_and_again(
    swarm: Swarm,
) -> None:
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT, replicas=6)
    running = swarm.on("web")
    socket = f"unix:{swarm.host('m1').paths.swarm_socket}"
    with Clerk(socket, "a") as first, Clerk(socket, "b") as second:
        clerks = (first, second)
        for _ in range(KILLS):
            enough = _acknowledged(clerks) + BETWEEN
            swarm.until(lambda: _acknowledged(clerks) >= enough, "more services are made")  # noqa: B023 - called at once
            swarm.kill_daemon("m1")
            assert swarm.on("web") == running
            swarm.start_daemon("m1")
    answers: dict[str, str] = {}
    for clerk in clerks:
        assert clerk.refusals == []
        assert clerk.repeated > 0, "calls were under way when the manager was killed"
        answers |= clerk.answers
    listed = _services(swarm)
    listed.pop("web")
    assert {name: each[:12] for name, each in answers.items()} == listed
    for clerk in clerks:
        for request in (clerk.requests[0], clerk.requests[-1]):
            made = answers[request.spec.annotations.name]
            assert clerk.ask(request) == made, "a retry has no second effect, however late"
    assert len(_services(swarm)) == len(answers) + 1
    swarm.until_runs("web", 6)
    assert swarm.on("web") == running, "workers kept their tasks running"
    assert len(swarm.tasks("web")) == 6


def test_a_command_that_meets_a_manager_in_its_restart_waits_and_succeeds(swarm: Swarm) -> None:
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT)
    words = ("service", "create", "--name", "next", "--replicas", "3", TOOLS, "sh", "-c", OBEDIENT)
    with swarm.running(*words) as create:
        swarm.until(lambda: len(create.lines()) == 1, "it is acknowledged")
        swarm.kill_daemon("m1")
        swarm.start_daemon("m1")
        swarm.until(lambda: create.ended() is not None, "the wait goes on to its end", timeout=60)
        assert create.ended() == 0, create.err.decode()
    assert len(swarm.until_runs("next", 3)) == 3


def test_an_update_goes_on_where_it_was_when_the_manager_is_killed(swarm: Swarm) -> None:
    flags = ("--update-delay", "500ms")
    swarm.create("web", *flags, TOOLS, "sh", "-c", OBEDIENT, replicas=6)
    swarm.ctl("service", "update", "--detach", "--env-add", "COLOUR=red", "web")
    swarm.until(lambda: len(swarm.tasks("web")) >= 8, "two are replaced")
    swarm.kill_daemon("m1")
    assert len(swarm.on("web")) >= 5
    swarm.start_daemon("m1")
    state = ("service", "inspect", "-f", "{{.UpdateStatus.State}}", "web")
    swarm.until(lambda: swarm.ctl(*state).out.strip() == "completed", "it is completed", timeout=60)
    swarm.until_runs("web", 6)
    assert len(swarm.on("web")) == 6
    assert len(swarm.tasks("web")) == 12, "each was replaced once"


def test_a_manager_that_loses_power_knows_everything_afterwards(swarm: Swarm) -> None:
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT, replicas=3)
    swarm.ctl("node", "update", "--label-add", "disk=ssd", "w1")
    kept = swarm.on("web", "w1", "w2")
    assert len(kept) == 2
    swarm.lab("kill", "m1")
    assert swarm.on("web") == kept
    swarm.lab("start", "m1")
    swarm.start_daemon("m1")
    labels = swarm.ctl("node", "inspect", "-f", "{{json .Spec.Labels}}", "w1").out
    assert json.loads(labels) == {"disk": "ssd"}
    # What the state says of its own task is of before, until its worker has looked.
    swarm.until(lambda: len(swarm.on("web")) == 3, "what ran on the manager is started anew")
    assert set(kept) < set(swarm.on("web")), "and nothing else is"
    swarm.until_runs("web", 3, timeout=60)
