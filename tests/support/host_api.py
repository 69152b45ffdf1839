"""An operator's authority beside a daemon under test, and the files that it gives the host."""

import os
from pathlib import Path

import grpc

from api.channel import CHANNEL_OPTIONS
from api.identity import Credentials
from machine.certs.host_papers import host_papers
from machine.certs.operator_ca import OperatorCa
from machine.store.machine import Machine
from machine.store.store import Store
from machine.target import Target
from tests.support.ports import free_pair

NAMES = ("cert", "key", "ca", "crl")


class ApiDesk:
    """The operator of one host, whose API listens on loopback."""

    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_pair()}"
        self.store = Store(folder / "store")
        self.ca = OperatorCa(self.store)
        self.machine = Machine("h1", Target("127.0.0.1"), api=self.address)
        self.host = folder / "api"
        self.host.mkdir()

    @property
    def options(self) -> list[str]:
        """Of swarmd."""
        files = [f"--api-{name}={self.host / name}.pem" for name in NAMES]
        return [f"--api-listen={self.address}", *files]

    def provision(self, *, fresh: bool = False) -> None:
        """Puts on the host what the store holds for it, each file as a whole."""
        for each in host_papers(self.store, self.machine, fresh=fresh).files:
            path = self.host / Path(each.path).name
            path.with_suffix(".new").write_bytes(each.content)
            os.replace(path.with_suffix(".new"), path)

    def mine(self) -> Credentials:
        """The operator's own papers."""
        folder = self.ca.client()
        return Credentials(*((folder / f"{n}.pem").read_bytes() for n in ("key", "cert", "ca")))

    def credentials(self, papers: Credentials) -> grpc.ChannelCredentials:
        """What gRPC wants to see of somebody's papers, who trusts the host in any case."""
        return grpc.ssl_channel_credentials(
            self.ca.trusted_pem, papers.key_pem, papers.certificate_pem
        )

    def channel(self, papers: Credentials) -> grpc.Channel:
        """To the host's API. Close it."""
        return grpc.secure_channel(self.address, self.credentials(papers), CHANNEL_OPTIONS)

    def aio_channel(self, papers: Credentials) -> grpc.aio.Channel:
        """As `channel`."""
        return grpc.aio.secure_channel(self.address, self.credentials(papers), CHANNEL_OPTIONS)
