"""The folders of a daemon: their modes, and that a second daemon is refused."""

import os
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from swarmctl.folders import RUN_MODE, STATE_MODE, held


def test_missing_folders_are_made_with_their_modes_whatever_the_umask(tmp_path: Path) -> None:
    state, run = tmp_path / "a" / "state", tmp_path / "b" / "run"
    before = os.umask(0o077)
    try:
        with held({state: STATE_MODE, run: RUN_MODE}):
            assert (state.stat().st_mode & 0o777, run.stat().st_mode & 0o777) == (0o700, 0o755)
    finally:
        os.umask(before)


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    with held({tmp_path: STATE_MODE}):
        assert tmp_path.stat().st_mode & 0o777 == 0o711


def test_a_second_daemon_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    own, shared = tmp_path / "own", tmp_path / "shared"
    with held({shared: STATE_MODE}):
        with (
            pytest.raises(SwarmError, match=f"{shared}: another swarmd") as refused,
            held({own: RUN_MODE, shared: STATE_MODE}),
        ):
            pass
        assert refused.value.code is Code.REFUSED
        with held({own: RUN_MODE}):  # the one that could be had was given back
            pass
    with held({shared: STATE_MODE}):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SwarmError, match="file/state"), held({tmp_path / "file" / "state": 0o700}):
        pass
