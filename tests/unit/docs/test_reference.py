"""Generated reference pages say what the code says."""

import importlib.util
from pathlib import Path

GENERATOR = Path(__file__).parents[3] / "docs" / "reference" / "generate_cli.py"


def test_the_reference_of_the_command_line_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("generate_cli", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.TARGET.read_text() == generator.page(), f"run: python {GENERATOR}"
