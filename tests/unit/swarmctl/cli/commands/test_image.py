"""`image`: the table, what is pulled, and archives from a file and from standard input."""

import subprocess
import time
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import host_pb2
from tests.support.command_line import CommandLine
from tests.support.golden import check_golden
from tests.support.scripted_daemon import ScriptedDaemon

DIGEST = "sha256:" + "d" * 64
ARCHIVE = bytes(range(256)) * 10_000


def images() -> host_pb2.ListImagesResponse:
    at = timestamp(time.time() - 3 * 86400 - 60)
    return host_pb2.ListImagesResponse(
        images=[
            host_pb2.Image(
                id="sha256:" + "a" * 64,
                references=["docker.io/library/nginx:1.27", "localhost:5000/team/web:latest"],
                digests=[f"docker.io/library/nginx@{DIGEST}"],
                size_bytes=187_654_321,
                created_at=at,
            ),
            host_pb2.Image(id="sha256:" + "b" * 64, size_bytes=4_310_000, created_at=at),
        ]
    )


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("image_ls.txt", ()),
        ("image_ls_digests.txt", ("--digests",)),
        ("image_ls_quiet.txt", ("-q",)),
        ("image_ls_no_trunc.txt", ("--no-trunc", "--format", "{{.ID}}")),
    ],
)
def test_images(cli: CommandLine, daemon: ScriptedDaemon, name: str, args: tuple[str, ...]) -> None:
    daemon.on("ListImages", images())
    result = cli("image", "ls", *args)
    assert (result.code, result.err) == (0, "")
    check_golden(f"cli/{name}", result.out)


def test_filters_of_images_are_sent(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("ListImages", images())
    filters = ["dangling=true", "label=a", "label=b=c", "reference=n*", "before=x", "since=y"]
    assert cli("image", "ls", *(word for each in filters for word in ("-f", each)), "nginx").out
    [request] = daemon.asked("ListImages")
    assert request == host_pb2.ListImagesRequest(
        reference="nginx",
        patterns=["n*"],
        labels=["a", "b=c"],
        before=["x"],
        since=["y"],
        dangling=[True],
    )


def test_pull_shows_each_step_once(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    step = host_pb2.ImageProgress
    daemon.on(
        "PullImage",
        [
            step(item=DIGEST, status="downloading", current=1),
            step(item=DIGEST, status="downloading", current=2),
            step(item=DIGEST, status="unpacking"),
            step(status="done", digest=DIGEST),
        ],
    )
    result = cli("image", "pull", "--platform", "linux/arm64", "nginx")
    assert (result.code, result.out) == (0, "nginx\n")
    assert result.err == f"dddddddddddd: downloading\ndddddddddddd: unpacking\nDigest: {DIGEST}\n"
    [request] = daemon.asked("PullImage")
    assert (request.platform.os, request.platform.architecture) == ("linux", "arm64")
    assert cli("image", "pull", "-q", "nginx").err == ""
    assert cli("image", "pull", "--platform", "arm64", "nginx").code == 2


def test_a_pull_that_fails_midway(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    failure = SwarmError(Code.NOT_FOUND, "cannot pull nginx", why="no such tag")
    daemon.on("PullImage", [host_pb2.ImageProgress(item=DIGEST, status="downloading"), failure])
    result = cli("image", "pull", "nginx")
    assert (result.code, result.out) == (1, "")
    assert result.err.endswith("swarmctl: cannot pull nginx: no such tag\n")


@pytest.fixture
def archive(tmp_path: Path, daemon: ScriptedDaemon) -> Path:
    daemon.on("LoadImage", host_pb2.LoadImageResponse(references=["app:1", "app:2"]))
    path = tmp_path / "image.tar"
    path.write_bytes(ARCHIVE)
    return path


def test_load_from_a_file(cli: CommandLine, daemon: ScriptedDaemon, archive: Path) -> None:
    result = cli("image", "load", "-i", str(archive))
    assert (result.code, result.out) == (0, "Loaded image: app:1\nLoaded image: app:2\n")
    [chunks] = daemon.asked("LoadImage")
    assert len(chunks) == 3
    assert b"".join(each.chunk for each in chunks) == ARCHIVE
    assert cli("image", "load", "-q", "-i", str(archive)).out == ""


def test_load_from_standard_input(cli: CommandLine, daemon: ScriptedDaemon, archive: Path) -> None:
    with archive.open("rb") as source:
        done = subprocess.run(
            cli.command("image", "load"), stdin=source, capture_output=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"Loaded image: app:1\nLoaded image: app:2\n"
    [chunks] = daemon.asked("LoadImage")
    assert b"".join(each.chunk for each in chunks) == ARCHIVE


def test_an_archive_that_cannot_be_read(
    cli: CommandLine, daemon: ScriptedDaemon, tmp_path: Path
) -> None:
    missing = cli("image", "load", "-i", str(tmp_path / "none.tar"))
    assert (missing.code, "No such file" in missing.err) == (2, True)
    # This file can be opened, and reading its beginning fails.
    unreadable = subprocess.run(
        ["sh", "-c", '"$@" < /proc/self/mem', "sh", *cli.command("image", "load")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert unreadable.returncode == 2
    assert unreadable.stderr.startswith("swarmctl: input: cannot read the archive: ")
    assert len(unreadable.stderr.splitlines()) == 1


def test_removing_goes_on_with_the_others(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on(
        "RemoveImage",
        SwarmError(Code.NOT_FOUND, "there is no image gone"),
        host_pb2.RemoveImageResponse(untagged=["app:1"], deleted=[DIGEST]),
    )
    result = cli("image", "rm", "gone", "app:1")
    assert (result.code, result.out) == (1, f"Untagged: app:1\nDeleted: {DIGEST}\n")
    assert result.err == "swarmctl: there is no image gone\n"


def test_inspect(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("GetImage", images().images[0])
    result = cli("image", "inspect", "--format", "{{json .References}}", "nginx")
    assert result.out == '["docker.io/library/nginx:1.27", "localhost:5000/team/web:latest"]\n'
