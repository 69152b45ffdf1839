"""The API of a real daemon over mutual TLS: before there is a swarm and in one, and what happens
while its files are changed under it.
"""

import socket
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import grpc
import pytest

from api.errors import Code, SwarmError
from api.identity import Credentials
from api.status import from_grpc
from api.v1 import (
    control_pb2,
    control_pb2_grpc,
    events_pb2,
    host_pb2,
    host_pb2_grpc,
)
from swarmctl.cli.client import Client
from tests.support.daemon_process import LIMIT, Daemon
from tests.support.host_api import ApiDesk
from tests.support.until import until_true

pytestmark = pytest.mark.root


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="d") as path:  # short, for the socket's sake
        yield Path(path)


@pytest.fixture
def desk(folder: Path) -> ApiDesk:
    return ApiDesk(folder)


@pytest.fixture
def daemon(folder: Path, desk: ApiDesk) -> Iterator[Daemon]:
    made = Daemon(folder, desk.options)
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.end()


def test_the_command_line_speaks_to_a_host_before_there_is_a_swarm_and_in_one(
    desk: ApiDesk, daemon: Daemon
) -> None:
    desk.provision()
    daemon.start()
    daemon.info()
    until_true(lambda: daemon.health("api") == "", "the API is served")
    client = Client(host=f"tcp://{desk.address}", cert_path=str(desk.ca.client()), timeout=LIMIT)
    try:
        assert client.serves_host()
        ask = host_pb2.InfoRequest()
        assert client.call(client.host.Info, ask, "asking").swarm.node_id == ""
        with pytest.raises(SwarmError, match="not part of a swarm"):
            client.call(client.control.GetCluster, control_pb2.GetClusterRequest(), "asking")
        request = host_pb2.InitSwarmRequest(
            advertise_address=daemon.address, listen_address=daemon.address
        )
        client.call(client.host.InitSwarm, request, "founding")
        assert client.call(client.host.Info, ask, "asking").swarm.node_id
        client.call(client.control.GetCluster, control_pb2.GetClusterRequest(), "asking")
    finally:
        client.close()


def test_a_stranger_is_not_let_in(desk: ApiDesk, daemon: Daemon, folder: Path) -> None:
    desk.provision()
    daemon.start()
    daemon.info()
    until_true(lambda: daemon.health("api") == "", "the API is served")
    (folder / "other").mkdir()
    stranger = ApiDesk(folder / "other").mine()
    with desk.channel(stranger) as channel:
        assert refusal(channel).code is Code.UNAVAILABLE


def test_one_host_cannot_stand_in_for_another(desk: ApiDesk, daemon: Daemon) -> None:
    desk.provision()
    other = desk.ca.server(("10.9.9.9",))
    (desk.host / "cert.pem").write_bytes(other.certificate_pem)
    (desk.host / "key.pem").write_bytes(other.key_pem)
    daemon.start()
    daemon.info()
    until_true(lambda: daemon.health("api") == "", "the API is served")
    papers = str(desk.ca.client())
    client = Client(host=f"tcp://{desk.address}", cert_path=papers, timeout=LIMIT, retry=False)
    with pytest.raises(SwarmError, match="no secure connection"):
        client.call(client.host.Info, host_pb2.InfoRequest(), "asking")


def test_who_is_revoked_is_out_at_once_with_all_his_calls(desk: ApiDesk, daemon: Daemon) -> None:
    alice = desk.ca.issue("alice")
    desk.provision()
    daemon.start()
    daemon.info()
    daemon.init()
    with desk.channel(alice) as hers, desk.channel(desk.mine()) as mine:
        info(hers)
        watch = control_pb2_grpc.ControlStub(hers).Events(events_pb2.EventsRequest())
        desk.ca.revoke("alice")
        desk.provision()
        with pytest.raises(grpc.RpcError) as caught:
            list(watch)
        assert "was revoked" in str(from_grpc(caught.value, "watching"))
        assert refusal(hers).code is Code.UNAUTHENTICATED
        info(mine)


def test_new_files_count_without_a_restart_and_wrong_ones_do_not(
    desk: ApiDesk, daemon: Daemon
) -> None:
    daemon.start()
    daemon.info()
    until_true(lambda: "cert.pem" in daemon.health("api"), "the missing file is told")
    desk.provision()
    until_true(lambda: daemon.health("api") == "", "the API is served")
    with desk.channel(desk.mine()) as channel:
        info(channel)
    (desk.host / "key.pem").write_bytes(desk.ca.issue("nobody").key_pem)
    until_true(lambda: "not for the key" in daemon.health("api"), "the wrong key is told")
    with desk.channel(desk.mine()) as channel:
        info(channel)
    old = desk.mine()
    desk.ca.rotate()
    desk.provision()
    until_true(lambda: daemon.health("api") == "", "the right files are taken over")
    desk.ca.renew_client()
    for papers in (old, desk.mine()):
        until_true(partial(is_served, desk, papers), "both are trusted")
    desk.ca.end_rotation()
    desk.provision()
    until_true(lambda: not is_served(desk, old), "the former authority is not")
    assert is_served(desk, desk.mine())


def test_a_port_that_is_taken_is_told_and_tried_again(desk: ApiDesk, daemon: Daemon) -> None:
    desk.provision()
    host, _, port = desk.address.rpartition(":")
    with socket.socket() as taken:
        taken.bind((host, int(port)))
        taken.listen()
        daemon.start()
        daemon.info()
        until_true(lambda: "cannot listen" in daemon.health("api"), "the taken port is told")
    until_true(lambda: daemon.health("api") == "", "the port is free again")
    with desk.channel(desk.mine()) as channel:
        info(channel)


def info(channel: grpc.Channel) -> None:
    host_pb2_grpc.HostStub(channel).Info(host_pb2.InfoRequest(), timeout=LIMIT, wait_for_ready=True)


def refusal(channel: grpc.Channel) -> SwarmError:
    with pytest.raises(grpc.RpcError) as caught:
        host_pb2_grpc.HostStub(channel).Info(host_pb2.InfoRequest(), timeout=LIMIT)
    return from_grpc(caught.value, "asking")


def is_served(desk: ApiDesk, papers: Credentials) -> bool:
    with desk.channel(papers) as channel:
        try:
            host_pb2_grpc.HostStub(channel).Info(host_pb2.InfoRequest(), timeout=LIMIT)
        except grpc.RpcError:
            return False
        return True
