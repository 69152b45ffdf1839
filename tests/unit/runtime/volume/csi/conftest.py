"""One CSI driver for all tests of a module: it takes a second to start. Each gets it honest."""

from collections.abc import Iterator

import pytest

from tests.support.csi_process import CsiProcess, csi_process


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CsiProcess]:
    with csi_process(tmp_path_factory.mktemp("csi")) as driver:
        yield driver


@pytest.fixture
def csi(running: CsiProcess) -> CsiProcess:
    running.start()
    running.order()
    return running
