import stat
import subprocess
from pathlib import Path

import pytest

from machine.drivers.lab.images import DemoImage, demo_images, write_tree

IMAGES = {image.name: image for image in demo_images()}


def test_there_are_two_versions_to_update_between_and_a_shell() -> None:
    assert list(IMAGES) == ["demo/web:1", "demo/web:2", "demo/tools:1", "demo/checked:1"]
    first, second = IMAGES["demo/web:1"], IMAGES["demo/web:2"]
    assert first.config == second.config
    differing = {name for name in first.files if first.files[name] != second.files[name]}
    assert differing == {"etc/version"}


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_scripts_are_executable_and_well_formed(image: DemoImage, tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", image.files)
    for name, text in image.files.items():
        path = tmp_path / "tree" / name
        assert path.read_text() == text
        script = text.startswith("#!")
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if script else 0o644)
        if script:
            subprocess.run(["sh", "-n", str(path)], check=True)
