import asyncio
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from runtime.volume.look import look
from tests.support.silent_mount import silent_mount


def test_it_tells_where_a_path_leads_and_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "folder\n").mkdir()
    (tmp_path / "link").symlink_to("folder\n")
    seen = asyncio.run(look(tmp_path / "link"))
    assert seen is not None
    assert (seen.path, seen.is_folder, seen.is_device) == (tmp_path / "folder\n", True, False)


def test_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert asyncio.run(look(tmp_path / "link")) is None
    for name in ("-no", "\0", "x/" * 3000, "x" * 200_000):
        assert asyncio.run(look(tmp_path / name)) is None


@pytest.mark.root
def test_a_file_system_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with silent_mount(tmp_path), pytest.raises(SwarmError) as caught:
        asyncio.run(look(tmp_path / "x", timeout=0.3))
    assert caught.value.code is Code.DEADLINE
