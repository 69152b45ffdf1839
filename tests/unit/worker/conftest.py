"""What the tests of the worker stand on."""

from pathlib import Path

import pytest

from tests.support.paper_node import Node


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)
